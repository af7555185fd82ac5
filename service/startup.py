"""From settings to an engine: the checkpoint and the catalogue are read, checked, and checked against each other."""

import logging

import torch

from model.checkpoint import load_checkpoint
from model.embedder import Embedder, pick_device
from model.errors import ArtifactMismatch
from model.preprocess import ImageLimits
from service.engine import Engine, EngineLimits, Network
from service.ingest import is_complete
from service.settings import Settings
from service.store.embedded import EmbeddedStore

__all__ = ["open_engine"]

logger = logging.getLogger(__name__)


def open_engine(settings: Settings) -> Engine:
    """Open what the settings name.

    Raises:
        ArtifactMissing: there is no checkpoint or no catalogue; the message names the command that makes one.
        ArtifactCorrupt: one of them fails its check.
        ArtifactMismatch: the catalogue was indexed by another checkpoint.
        QueryError: the device can't be used.
    """
    # Threads beyond a few cost more than they give for one small picture, and requests run side by side as it is.
    torch.set_num_threads(settings.threads)
    checkpoint = load_checkpoint(settings.checkpoint)
    limits = ImageLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels)
    embedder = Embedder(checkpoint, limits=limits, device=pick_device(settings.device))
    store = EmbeddedStore.open(settings.catalog, threads=settings.threads)
    try:
        info = store.info()
        _require_match(settings, checkpoint.digest, info.checkpoint)
        if not is_complete(settings.catalog):
            logger.warning("the indexing of %s did not finish; run the same command again", settings.catalog)
        conditions = tuple(condition.name for condition in checkpoint.conditions if condition.name in info.slices)
        return Engine(
            embedder,
            store,
            Network(checkpoint.digest, conditions),
            limits=EngineLimits(max_k=settings.max_k, max_images=settings.max_images),
        )
    except BaseException:
        store.close()
        raise


def _require_match(settings: Settings, digest: str, indexed_by: str) -> None:
    if indexed_by != digest:
        raise ArtifactMismatch(
            f"the catalogue in {settings.catalog} was indexed by the checkpoint {indexed_by[:16]}, and "
            f"{settings.checkpoint} holds {digest[:16]}; index it anew with `python -m service index --catalog PATH "
            f"--checkpoint {settings.checkpoint} --out {settings.catalog} --rebuild`"
        )
