"""Named sets of defaults for `train`."""

from collections.abc import Mapping

__all__ = ["PRESETS"]

PRESETS: Mapping[str, Mapping[str, object]] = {
    "catalog": {},
    "photos": {
        "network": "shoes-large",
        "latent_size": 128,
        "photo_views": 4,
        "epochs": 24,
        "batch_size": 128,
        "reframe": 1.0,
        "brighten": 0.1,
        "erase": 0.3,
        "triplet_weight": 1500.0,
        "label_weight": 1500.0,
        "instance_weight": 500.0,
    },
}
"""Name -> option of `train` -> its default.

`catalog` is for questions of the catalogue's own kind, `photos` for photos with any background as well.
"""
