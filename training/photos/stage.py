"""The stage of `train` before the network: a localizer taught on the catalogue's own shoes, and photos of them."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.catalog import Catalog, Shoe
from model.errors import ImageError, TrainingError
from model.files import sha256_bytes
from model.inference import fold_norms
from model.localizer import Localizer
from model.preprocess import Preprocessor
from training.config import TrainConfig
from training.data.images import ImageSet, load_images, split_by_group
from training.distributed import ProcessGroup
from training.photos.confidence import FramedPictures, make_empty_scenes
from training.photos.localizer import LocalizerTraining, draw_backgrounds, train_localizer
from training.photos.outlines import Outlined, outline_all
from training.photos.state import PhotoStage, load_stage, save_stage
from training.photos.views import make_views

_log = logging.getLogger(__name__)

RENDERED_SIDE = 160
"""Longest side, in pixels, of the catalogue pictures that composites are made of."""

INSTANCE_SIZE = 32
"""Numbers of the slice that tells one shoe from another."""

WORKERS = 2
"""Threads that draw backgrounds and photograph shoes."""

MOST_TAUGHT = 8_000
"""Shoes at most that the localizer is taught on."""

FEWEST_SAMPLES = 8_000
SAMPLES_PER_SHOE = 24
"""Composites of each shoe, and of all of them at least, that the localizer is taught on."""

FEWEST_BACKGROUNDS = 800
SAMPLES_PER_BACKGROUND = 33
"""Composites on pieces of each background, and fewest backgrounds."""

FEWEST_OUTLINED = 16
"""Outlined shoes without which no localizer is taught."""

MOST_SCENES, FEWEST_SCENES = 1_500, 32
"""Pictures without a shoe that the confidence is fitted on: as many as shoes, within these."""


class Prepared(NamedTuple):
    """Images to train on, with their photo views where there are any, and the localizer that goes with them.

    `decoded` counts the pictures that could be read, of the shoes that were excluded as well; `scenes` are pictures
    without a shoe.
    """

    images: ImageSet
    decoded: int
    localizer: Localizer | None = None
    scenes: FramedPictures | None = None


def prepare_images(
    catalog: Catalog,
    config: TrainConfig,
    *,
    excluded: Collection[str],
    process_group: ProcessGroup,
    max_bad_share: float,
    report: Path | None,
    folder: Path | None = None,
    resume: bool = False,
) -> Prepared:
    """Decode a catalogue's pictures, without the shoes `excluded`; and photograph the shoes where that is wanted.

    Args:
        catalog: the shoes.
        config: of the run; what it holds out is held out of the localizer's training, too.
        excluded: ids of shoes to leave out.
        process_group: the processes that train.
        max_bad_share: of the rows.
        report: where bad rows are written; None for nowhere.
        folder: where the localizer and the photos are kept for a resumed run; None keeps nothing.
        resume: take the ones that are kept there, where they are of these very shoes and settings.

    Raises:
        ArtifactError: `folder` can't be written.
        CatalogError: no usable picture, or more than `max_bad_share` of the rows are bad.
        TrainingError: several processes are to learn from photos.
    """
    learned, shoes = None, [shoe for shoe in catalog.shoes if shoe.id not in excluded]
    if config.photos.views:
        if process_group.world_size > 1:
            raise TrainingError(
                f"{process_group.world_size} processes can't learn from photos together; start one, or --photo-views 0"
            )
        fingerprint = _fingerprint(shoes, config)
        if resume and folder is not None:
            learned = load_stage(folder, fingerprint)
        if learned is None:
            taught, _ = split_by_group([shoe.group for shoe in shoes], config.validation_share, config.seed)
            learned = learn_from_photos(shoes, config, taught=set(taught), device=process_group.device)
            if learned is not None and folder is not None:
                save_stage(folder, learned, fingerprint)
    localizer = None if learned is None else learned.localizer
    sighted = Preprocessor(config.preprocess, None, None if localizer is None else fold_norms(localizer))
    images = load_images(catalog, sighted, max_bad_share=max_bad_share, report=report)
    decoded = len(images)
    if excluded:
        images = images.take(index for index, shoe_id in enumerate(images.ids) if shoe_id not in excluded)
    if learned is not None:
        places = {shoe.id: index for index, shoe in enumerate(shoes)}
        images = replace(images, views=learned.views.take([places[shoe_id] for shoe_id in images.ids]))
    return Prepared(images, decoded, localizer, None if learned is None else learned.scenes)


def _fingerprint(shoes: Sequence[Shoe], config: TrainConfig) -> str:
    """Of all that decides the localizer and the photos; pictures count by size and time."""
    content = {
        "shoes": [(shoe.id, shoe.group, *_stamp(shoe)) for shoe in shoes],
        "preprocess": asdict(config.preprocess),
        "photos": (config.photos.views, config.photos.samples),
        "precision": config.precision,
        "validation_share": config.validation_share,
        "seed": config.seed,
    }
    return sha256_bytes(json.dumps(content, sort_keys=True).encode())


def _stamp(shoe: Shoe) -> tuple[int, int]:
    try:
        status = shoe.image.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class _TrainedLocalizer(NamedTuple):
    """A localizer in eval mode, and the backgrounds, (N, side, side, 3), that it was taught on."""

    localizer: Localizer
    bank: NDArray[np.uint8]


def learn_from_photos(
    shoes: Sequence[Shoe], config: TrainConfig, *, taught: Collection[int], device: torch.device
) -> PhotoStage | None:
    """Teach a localizer on a catalogue's shoes, and photograph each of them with it.

    Args:
        shoes: N.
        config: of the run.
        taught: indices of the shoes to teach the localizer on: those that are not held out.
        device: where to train the localizer.

    Returns:
        the localizer and the shoes' views; None where too few pictures have a plain margin.

    Raises:
        TrainingError: the preprocessing does not frame subjects.
    """
    if config.preprocess.framing != "subject":
        raise TrainingError(f"framing is {config.preprocess.framing!r}; learning from photos needs 'subject'")
    seed, preprocessor = config.seed, Preprocessor(config.preprocess)
    outlined = [_outline(shoe, preprocessor) for shoe in shoes]
    result = _fit_localizer([outlined[index] for index in sorted(taught)], config, device)
    if result is None:
        return None
    sighted = Preprocessor(preprocessor.config, preprocessor.limits, fold_norms(result.localizer))
    views = make_views(outlined, result.bank, sighted, config.photos.views, seed=seed, workers=WORKERS)
    others = [index for index in range(len(shoes)) if index not in taught] or list(taught)
    found = np.nanmean(views.overlaps[others])
    _log.info("on %d shoes, the localizer's boxes overlap with the true ones by %.3f (IoU)", len(others), found)
    scenes = make_empty_scenes(result.bank, sighted, min(MOST_SCENES, max(FEWEST_SCENES, len(shoes))), seed=seed)
    return PhotoStage(result.localizer, views, scenes)


def _outline(shoe: Shoe, preprocessor: Preprocessor) -> Outlined | None:
    """The shoe, cut out of its picture; None where that has no plain margin, or can't be read."""
    try:
        picture = preprocessor.render(shoe.image.read_bytes(), RENDERED_SIDE)
    except (OSError, ImageError):
        return None  # `load_images` reports it
    return outline_all([np.asarray(picture)])[0]


def _fit_localizer(
    shoes: Sequence[Outlined | None], config: TrainConfig, device: torch.device
) -> _TrainedLocalizer | None:
    """Teach a localizer on these shoes; None where too few of them could be cut out."""
    outlined = [each for each in shoes if each is not None]
    if len(outlined) < FEWEST_OUTLINED:
        _log.warning(
            "warning: no localizer: %d of %d pictures have a plain, bright margin to cut the shoe out of, and %d are "
            "needed; photos are taken whole",
            len(outlined),
            len(shoes),
            FEWEST_OUTLINED,
        )
        return None
    random = np.random.default_rng([config.seed, 4])
    if len(outlined) > MOST_TAUGHT:
        outlined = [outlined[index] for index in random.permutation(len(outlined))[:MOST_TAUGHT]]
    samples = min(config.photos.samples, max(FEWEST_SAMPLES, SAMPLES_PER_SHOE * len(outlined)))
    backgrounds = max(FEWEST_BACKGROUNDS, samples // SAMPLES_PER_BACKGROUND)
    bank = draw_backgrounds(outlined, config.seed, backgrounds, workers=WORKERS)
    training = LocalizerTraining(samples=samples, precision=config.precision, threads=config.threads, seed=config.seed)
    return _TrainedLocalizer(train_localizer(outlined, bank, training, device), bank)
