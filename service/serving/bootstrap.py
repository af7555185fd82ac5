"""Opens what the settings name: checkpoint and catalogue are read, checked, and checked against each other."""

import logging
from concurrent.futures import ThreadPoolExecutor

from model.embedder import Embedder
from model.errors import ArtifactError, ArtifactMismatch
from model.formats import BOUNDED_FORMATS, FORMATS
from model.preprocess import ImageLimits
from model.runtime import open_embedder
from service.catalog.attributes import read_types
from service.catalog.indexing.ledger import is_complete
from service.catalog.maintenance.duplicates import read_measure
from service.serving.editor import Editor
from service.serving.engine import Engine, Network
from service.serving.pipeline import Pipeline
from service.settings import Settings
from service.store.base import StoreInfo
from service.store.factory import open_store
from service.telemetry import metrics


class Backend:
    """An engine with its pipeline and its editor, which share the threads that decode pictures. For one event loop."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Start nothing yet. Whoever made the engine closes it, after this."""
        self.engine = engine
        self._decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self.pipeline = Pipeline(engine, self._decoders, settings)
        self.editor = Editor(engine, self.pipeline.embed, self._decoders, settings)

    async def start(self) -> None:
        """Start their threads."""
        await self.pipeline.start()
        await self.editor.start()

    async def check_ready(self) -> None:
        """Send a canary through the pipeline. Raises NotReady."""
        await self.pipeline.check_ready()

    async def close(self) -> None:
        """Let what is under way finish; nothing new is taken on."""
        await self.pipeline.close()
        await self.editor.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)


logger = logging.getLogger(__name__)


def open_engine(settings: Settings, *, newer: bool = False) -> Engine:
    """Open what the settings name.

    Args:
        settings: the artifacts' folders, and what a request may ask for.
        newer: this is to replace what is served well: a catalogue whose indexing has not finished is refused.

    Raises:
        ArtifactMissing: there is no checkpoint or no catalogue; the message names the command that makes one.
        ArtifactCorrupt: one of them fails its check.
        ArtifactMismatch: the catalogue was indexed by another checkpoint.
        ArtifactError: the catalogue is `newer`, and not all there.
        QueryError: the device can't be used, or not by that runtime.
    """
    embedder = open_embedder(
        settings.checkpoint,
        runtime=settings.runtime,
        device=settings.device,
        # Those beyond a few cost more than they give for one small picture, and requests run side by side as it is.
        threads=settings.threads,
        limits=ImageLimits(
            max_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            formats=FORMATS if settings.avif else BOUNDED_FORMATS,
        ),
    )
    checkpoint = embedder.checkpoint
    logger.info("networks are run by %s", embedder.networks.runtime)
    store = open_store(
        settings.index,
        settings.store,
        token=settings.store_token.get_secret_value(),
        threads=settings.threads,
        record_recall=metrics.set_index_recall,
        # A change that has to wait for those of others is given up before its request is.
        busy_seconds=settings.wait_seconds / 3,
        exact_shoes=settings.exact_shoes,
        min_recall=settings.min_recall,
    )
    try:
        info = store.info()
        _require_match(settings, embedder, info)
        _check_complete(settings, required=newer)
        conditions = tuple(condition.name for condition in checkpoint.conditions if condition.name in info.slices)
        return Engine(
            embedder,
            store,
            Network(checkpoint.digest, conditions, checkpoint.nearness, embedder.networks.runtime),
            settings.index,
            settings,
            attribute_types=read_types(settings.index),
            duplicate_distance=_find_duplicate_distance(settings, info),
        )
    except BaseException:
        store.close()
        raise


def open_backend(settings: Settings, *, newer: bool = False) -> Backend:
    """Open what the settings name, ready to be started. Arguments and errors are those of `open_engine`."""
    return Backend(open_engine(settings, newer=newer), settings)


def _find_duplicate_distance(settings: Settings, info: StoreInfo) -> float | None:
    """The largest distance of near-duplicates: what is set, or else what was measured with these vectors."""
    if settings.duplicate_distance is not None:
        return settings.duplicate_distance
    measured = read_measure(settings.index, info.checkpoint)
    return None if measured is None else measured.distance


def _check_complete(settings: Settings, *, required: bool) -> None:
    """Raise ArtifactError if the catalogue is not all there; or only say so in the log."""
    if settings.store or is_complete(settings.index):
        return
    if required:
        raise ArtifactError(f"the indexing of {settings.index} has not finished; reload again when it has")
    logger.warning("the indexing of %s did not finish; run it again, without --rebuild", settings.index)


def _require_match(settings: Settings, embedder: Embedder, info: StoreInfo) -> None:
    """Raise ArtifactMismatch unless the store's vectors are the embedder's."""
    into = f"--store {settings.store}" if settings.store else f"--out {settings.index}"
    remedy = (
        f"index it anew with `python -m service index --catalog PATH --checkpoint {settings.checkpoint} "
        f"{into} --rebuild`"
    )
    digest = embedder.checkpoint.digest
    if info.checkpoint != digest:
        raise ArtifactMismatch(
            f"the catalogue in {settings.location} was indexed by the checkpoint {info.checkpoint[:16]}, and "
            f"{settings.checkpoint} holds {digest[:16]}; {remedy}"
        )
    # With the digests equal, these can only differ where somebody has changed the catalogue's own facts.
    if (info.dimension, dict(info.slices)) != (embedder.dimension, embedder.slices):
        raise ArtifactMismatch(
            f"the catalogue in {settings.location} has vectors of {info.dimension} numbers in the slices "
            f"{', '.join(info.slices)}, and {settings.checkpoint} makes {embedder.dimension} in "
            f"{', '.join(embedder.slices)}; {remedy}"
        )
