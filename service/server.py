"""The process that serves: its socket, its server, and what it says once it is up."""

import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

from model.errors import AddressTaken, PictureMissing
from service.app import create_app
from service.engine import Engine
from service.pictures import locate_picture
from service.settings import Settings
from service.startup import open_engine

__all__ = ["bind", "describe_start", "run"]

STOP_SECONDS = 10
"""How long a stop waits for answers that are under way."""

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to
"""Where to reach a server that listens on every interface."""

LOOK_AT = 20
"""Shoes among which a picture for the example is looked for."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening.

    Raises:
        AddressTaken: another program has it, or it is not one of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # Without it a restart has to wait until the old connections' minutes in TIME_WAIT are over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise AddressTaken(f"can't listen on {host} port {port}: {reason}; choose others with --host, --port") from None
    return listener


def run(settings: Settings, listener: socket.socket) -> None:
    """Open the artifacts and serve until a signal stops it.

    Raises:
        ArtifactError: a checkpoint or a catalogue can't be used.
    """
    engine = open_engine(settings)
    # uvicorn raises the signal that stopped it once more: then a graceful stop ends with the status 0, and runs every
    # `finally` on its way.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    try:
        config = uvicorn.Config(
            create_app(settings, engine),
            log_config=None,  # through the root logger, as all else
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        _Server(config, engine, settings.host).run(sockets=[listener])
    finally:
        engine.close()


class _Server(uvicorn.Server):
    """Says where it is, after all that uvicorn logs of its start."""

    def __init__(self, config: uvicorn.Config, engine: Engine, host: str) -> None:
        super().__init__(config)
        self._engine, self._host = engine, host

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            address = describe_address(self._host, sockets[0].getsockname()[1])
            print(*describe_start(self._engine, address), sep="\n", flush=True)  # noqa: T201 - the command's output


def describe_address(host: str, port: int) -> str:
    """The page's address, as a browser on this machine takes it."""
    name = ANY_ADDRESS.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def describe_start(engine: Engine, address: str) -> Sequence[str]:
    """What to tell the person at the terminal: where the page is, and a request that works."""
    info = engine.store.info()
    lines = [f"solemate serves {info.count:,} shoes on {address}"]
    picture = _find_picture(engine)
    if picture is not None:
        lines.append(f"try:  curl -F {shlex.quote(f'image=@{_spell(picture)}')} '{address}/v1/search?k=5'")
    return lines


def _find_picture(engine: Engine) -> Path | None:
    root = engine.store.info().root
    for item in engine.store.page(limit=LOOK_AT).items:
        try:
            path = locate_picture(root, item)
        except PictureMissing:
            continue
        if path.is_file():
            return path
    return None


def _spell(path: Path) -> str:
    """A path as short as it can be from here, in the way that curl's -F takes it."""
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    if set(text) & set('",;'):  # these mean something to curl itself
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
