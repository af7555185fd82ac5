"""What one generation answers with: the pipeline, which searches, and the editor, which changes, over one engine."""

from concurrent.futures import ThreadPoolExecutor

from service.serving.editor import Editor
from service.serving.engine import Engine
from service.serving.pipeline import Pipeline
from service.settings import Settings

__all__ = ["Backend"]


class Backend:
    """An engine with its pipeline and its editor, which share the threads that decode pictures. For one event loop."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Start nothing yet. Whoever made the engine closes it, after this."""
        self.engine = engine
        self._decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self.pipeline = Pipeline(engine, self._decoders, settings)
        self.editor = Editor(engine, self.pipeline.embed, self._decoders, settings)

    async def start(self) -> None:
        """Make both able to answer."""
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
