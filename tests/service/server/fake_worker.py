"""A worker process without network and store: what is on its disk is a word, and it answers a connection with it.

It imports little, so that it starts fast.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import MutableSequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from service.server.ipc import (
    Accept,
    Failed,
    Finish,
    Finished,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Ready,
    ReloadRequest,
    ReloadResult,
)
from service.serving.generations import GenerationInfo, Outcome
from service.settings import Settings

BROKEN = "broken"
"""On the disk: artifacts that can't be used."""

STUCK = "stuck"
"""On the disk: artifacts that take, beside others, as long to load as they are there."""


class FakeWorker:
    """Its disk is the checkpoint's folder, where a test puts files.

    `artifacts` is what it serves, `artifacts-1` what only worker 1 does. `deaf` makes it answer no pings, `stuck` be
    never ready, `crash` end at once, and `stubborn` not end when it is told to.
    """

    def __init__(self, folder: Path, pipe: Connection, index: int) -> None:
        self.folder, self.pipe, self.index = folder, pipe, index
        self.served = self.read()
        self.prepared = self.served
        self.accepting = False
        self.asked: list[socket.socket] = []

    def read(self) -> str:
        """What is on disk."""
        own = self.folder / f"artifacts-{self.index}"
        return (own if own.exists() else self.folder / "artifacts").read_text()

    def obey(self, message: object) -> None:
        """Do what the supervisor says."""
        match message:
            case Accept():
                self.accepting = True
            case Ping() if not (self.folder / "deaf").exists():
                self.pipe.send(Pong())
            case Prepare(number):
                while self.read() == STUCK:
                    time.sleep(0.01)
                self.prepared = self.read()
                found = None if self.prepared == BROKEN else info_of(self.prepared)
                self.pipe.send(Prepared(number, Outcome(self.index, os.getpid(), found, "" if found else BROKEN)))
            case Finish(number, commit):
                self.served = self.prepared if commit else self.served
                self.pipe.send(Finished(number))
            case ReloadResult(number, outcomes, refused):
                self.asked[number].sendall(f"{len(outcomes)} {refused or 'switched'}".encode())
                self.asked[number].close()

    def answer(self, client: socket.socket) -> None:
        """Say who answers; or, to one that begins with a word, do what it says."""
        word = client.recv(16)
        if word == b"reload":
            self.asked.append(client)
            self.pipe.send(ReloadRequest(len(self.asked) - 1))
            return
        client.sendall(f"{self.index} {os.getpid()} {self.served}".encode())
        client.close()


def info_of(word: str) -> GenerationInfo:
    """What a worker that serves it says of itself."""
    return GenerationInfo(word, "store", "catalog", 1)


def work(
    settings: Settings, listener: socket.socket, pipe: Connection, counts: MutableSequence[int], index: int
) -> None:
    """What a `WorkerSlot` runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = settings.checkpoint
    if (folder / "crash").exists():
        os._exit(7)
    if (folder / "stubborn").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while (folder / "stuck").exists():
        time.sleep(0.01)
    worker = FakeWorker(folder, pipe, index)
    if worker.served == BROKEN:
        pipe.send(Failed("the weights are torn"))
        sys.exit(1)
    pipe.send(Ready(info_of(worker.served), (f"serving {worker.served}",)))
    listener.settimeout(0)
    while True:
        ready = wait([pipe, listener] if worker.accepting else [pipe])
        if pipe in ready:
            worker.obey(pipe.recv())
        if listener in ready:
            try:
                client = listener.accept()[0]
            except BlockingIOError:  # the other one was quicker
                continue
            client.settimeout(5)
            worker.answer(client)
