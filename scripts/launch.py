"""What the scripts share: the virtual environment, and the artifacts that are served. The standard library alone.

    launch.py BASE serve|prepare [OPTIONS]     BASE is the Python to make .venv of
    launch.py BASE install EXTRAS              prints the Python that has solemate installed

Environment:
    SOLEMATE_TORCH_INDEX  a package index to take torch and torchvision from, such as
                          https://download.pytorch.org/whl/cpu; default: as pip is configured
    SOLEMATE_PYTHON       a Python that has solemate installed, to use as it is instead of .venv
    SCRIPT                the script's name, for messages
"""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / ".solemate-installed"
SCRIPT = os.environ.get("SCRIPT", "launch.py")
"""The script that a person called."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

RESOLVE = """
import dataclasses, hashlib, re, sys
from model.catalog.reader import parse_spec
from model.errors import CatalogError
try:
    spec = parse_spec(sys.argv[1])
except CatalogError as error:
    sys.exit(f"--catalog: {error}")
spec = dataclasses.replace(spec, path=spec.path.resolve())
name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec.path.stem).strip("-") or "catalogue"
print(spec)
print(f"{name}-{hashlib.sha256(str(spec).encode()).hexdigest()[:8]}")
"""
"""Prints a catalogue's full spelling, and a name for the folder of what is made of it."""


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def die(text: str) -> NoReturn:
    """End with an error."""
    sys.exit(f"scripts/{SCRIPT}: {text}")


@contextmanager
def hold(file: Path, message: str) -> Iterator[tuple[int, ...]]:
    """Be the only run that holds a file; `message` is said where there is another to wait for. Yields its descriptor.

    Child processes get the descriptor: what outlives a killed run is waited for too, and no lock is ever stale.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:  # then nothing can be made here either
        yield ()
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(message)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        say(f"Files can't be locked here ({error.strerror}): start no second run beside this one")
    try:
        yield (descriptor,)
    finally:
        os.close(descriptor)


def ensure_installed(base: str, extras: str) -> str:
    """The Python that has solemate installed with these extras (service,training[,dev]); .venv is made if need be."""
    if given := os.environ.get("SOLEMATE_PYTHON"):
        return given
    python = str(VENV / "bin" / "python")
    if not _is_installed(python, extras):
        with hold(ROOT / "constraints.txt", "Another run is installing the Python packages: waiting for it") as lock:
            if not _is_installed(python, extras):
                _install(base, python, extras, lock)
    return python


def _works(python: str, *arguments: str) -> bool:
    try:
        return subprocess.run([python, *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _make_key() -> str:
    parts = [str(ROOT).encode(), *((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def _read_stamp() -> str:
    return STAMP.read_text() if STAMP.exists() else ""


def _is_installed(python: str, extras: str) -> bool:
    """Whether .venv works, and was made from what is here now with at least these extras."""
    return _read_stamp().startswith(f"{_make_key()} {extras}") and _works(python, "-c", "")


def _install(base: str, python: str, extras: str, lock: tuple[int, ...]) -> None:
    began = time.monotonic()
    if _read_stamp().strip().endswith(",dev"):
        extras = "service,training,dev"
    STAMP.unlink(missing_ok=True)
    if not _works(python, "-c", ""):
        say(f"Making .venv with {base}")
        subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=True, stdout=sys.stderr, pass_fds=lock)

    def pip(*arguments: str) -> None:
        command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--constraint", "constraints.txt"]
        if subprocess.run([*command, *arguments], check=False, cwd=ROOT, stdout=sys.stderr, pass_fds=lock).returncode:
            die("the packages could not be installed; pip's reason is above")

    say("Installing the Python packages into .venv")
    # By itself, and before the rest, which then finds it there: no other package is taken from that index.
    if index := os.environ.get("SOLEMATE_TORCH_INDEX"):
        pip("--index-url", index, "--no-deps", "torch", "torchvision")
    elif (platform.system(), platform.machine()) == ("Linux", "x86_64") and not shutil.which("nvidia-smi"):
        say("torch for Linux comes with CUDA, some gigabytes. Without a GPU this is enough, and smaller: ")
        say(f"SOLEMATE_TORCH_INDEX={CPU_INDEX} scripts/{SCRIPT}")
    pip("--editable", f".[{extras}]")
    STAMP.write_text(f"{_make_key()} {extras}\n")
    say(f"Installed in {time.monotonic() - began:.0f} s")


class Artifacts:
    """The folder with what is made of one catalogue, and the stages that make it. THE place for their options."""

    def __init__(self, python: str, source: str, folder: Path, lock: tuple[int, ...]) -> None:
        self.python, self.source, self.folder, self.lock = python, source, folder, lock
        self.done = folder / ".done"

    def make(self) -> None:
        """Draw (demo only), train and index what is still to do."""
        demo, checkpoint, catalog = (self.folder / name for name in ("demo", "checkpoint", "catalog"))
        spec, preset, rebuild = self.source, [], []
        if self.source == "demo":
            spec, preset = str(demo), ["--preset", "catalog"]
            if not self._is_done("draw", demo):
                shutil.rmtree(self.done, ignore_errors=True)
                title = "Drawing a catalogue of shoes to try it on"
                self._run("draw", title, "training", "demo-catalog", "--out", str(demo))
        # A stage that runs anew makes the later ones due.
        if not self._is_done("train", checkpoint / "config.json"):
            for name in ("train", "index"):
                (self.done / name).unlink(missing_ok=True)
            # What is there is this script's own: a network trained on what the catalogue was before.
            options = ["--catalog", spec, "--out", str(checkpoint), *preset, "--resume", "--overwrite"]
            self._run("train", "Training the network", "training", "train", *options)
            # What was indexed with another network, since removed, is of no use to this one.
            rebuild = ["--rebuild"] if catalog.exists() else []
        if not self._is_done("index", catalog / "catalog.sqlite"):
            options = ["--catalog", spec, "--checkpoint", str(checkpoint), "--out", str(catalog), *rebuild]
            self._run("index", "Indexing the catalogue", "service", "index", *options)

    def claim(self) -> bool:
        """Record what the folder is made from; False where what is there was made by hand, to be served as it is."""
        owner, made = self.folder / "source", [self.folder / "checkpoint", self.folder / "catalog"]
        if owner.exists():
            recorded = owner.read_text().strip()
            if recorded != self.source:
                die(
                    f"{self.folder} was made from {recorded}, not from {self.source}. Name that catalogue again, or "
                    "choose another folder (with Docker another project, 'docker compose -p NAME', which has a volume "
                    "of its own)."
                )
            return True
        if (made[0] / "config.json").exists() and (made[1] / "catalog.sqlite").exists():
            say(f"Using the checkpoint and the catalogue in {self.folder} as they are")
            return False
        if any(path.exists() for path in made):
            die(
                f"{self.folder} holds a checkpoint or a catalogue, but not both, and they were not made by this script"
                ". Make the other one with 'python -m training train' or 'python -m service index', or remove what is "
                "there."
            )
        new = owner.with_name("source.new")
        new.write_text(f"{self.source}\n")
        new.rename(owner)
        return True

    def _is_done(self, name: str, made: Path) -> bool:
        """Whether the stage ended well and what it made is still there."""
        return (self.done / name).exists() and made.exists()

    def _run(self, name: str, title: str, *arguments: str) -> None:
        """Run a stage to its end; only one that ended well is marked as done."""
        began = time.monotonic()
        say(title)
        process = subprocess.Popen([self.python, "-P", "-m", *arguments], pass_fds=self.lock)

        def stop(number: int, _frame: FrameType | None) -> NoReturn:
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.SIG_IGN)
            process.terminate()
            process.wait()
            print(file=sys.stderr)
            say("Stopped. The same command goes on from here.")
            os._exit(128 + number)

        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        status = process.wait()
        for each, handler in before.items():
            signal.signal(each, handler)
        if status:
            die("stopped: the step above failed. Once that is mended, the same command goes on from here.")
        self.done.mkdir(parents=True, exist_ok=True)
        (self.done / name).touch()
        say(f"Done in {time.monotonic() - began:.0f} s")


def prepare(python: str, catalog: str, folder: str | None) -> Path:
    """Make the artifacts of a catalogue, unless they are there; returns their folder."""
    source, artifacts = "demo", ROOT / "artifacts"
    if catalog:
        resolved = subprocess.run(
            [python, "-P", "-c", RESOLVE, catalog], stdout=subprocess.PIPE, text=True, check=False
        )
        if resolved.returncode:
            sys.exit(1)
        source, name = resolved.stdout.splitlines()
        artifacts /= name
    if folder is not None:
        artifacts = Path(folder).absolute()
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        with hold(artifacts / ".lock", f"Another run is preparing {artifacts}: waiting for it") as lock:
            made = Artifacts(python, source, artifacts, lock)
            if made.claim():
                made.make()
    except OSError as error:
        die(f"{artifacts} can't be written: {error.strerror or error}")
    return artifacts


def check_port(host: str, port: str) -> None:
    """End, before the minutes of training, where the service could not listen after them."""
    problem = "a port is a number up to 65535"
    if port.isdecimal() and int(port) <= 65535:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(address)
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            return
    die(f"can't listen on {host} port {port} ({problem}); choose another: --port 8001")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, after the base."""
    parser = argparse.ArgumentParser(prog="scripts/launch.py", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "serve": "From a fresh checkout to the page in the browser: installs, trains, indexes, serves. Does only what "
        f"is still to do. SOLEMATE_TORCH_INDEX={CPU_INDEX} installs torch without CUDA, which is smaller.",
        "prepare": "Makes what the service serves: a trained network and an indexed catalogue. Does only what is "
        "still to do.",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, prog=f"scripts/{name}", description=text, allow_abbrev=False)
        command.add_argument(
            "--catalog",
            metavar="SPEC",
            default=os.environ.get("SOLEMATE_CATALOG_SOURCE", ""),
            help="the shoes: a folder, a .csv file, or csv:PATH?id=sku&image=photos/{sku}.jpg; default: "
            "SOLEMATE_CATALOG_SOURCE, and without it a catalogue that is drawn to try it on",
        )
        if name == "serve":
            command.add_argument("--host", default=os.environ.get("SOLEMATE_HOST") or "127.0.0.1")
            command.add_argument("--port", default=os.environ.get("SOLEMATE_PORT") or "8000")
            command.set_defaults(artifacts=None)
        else:
            command.add_argument(
                "--artifacts", metavar="FOLDER", help="default: artifacts/, or a folder below it for each --catalog"
            )
    commands.add_parser("install").add_argument("extras")
    return parser.parse_args(arguments)


def main() -> None:
    """Do what the command line says."""
    base, options = sys.argv[1], parse(sys.argv[2:])
    if options.command == "install":
        print(ensure_installed(base, options.extras))
        return
    if options.command == "serve":
        check_port(options.host, options.port)
    python = ensure_installed(base, "service,training")
    artifacts = prepare(python, options.catalog, options.artifacts)
    if options.command == "prepare":
        say(f"Ready in {artifacts}")
        return
    settings = {
        "SOLEMATE_HOST": options.host,
        "SOLEMATE_PORT": options.port,
        "SOLEMATE_CHECKPOINT": str(artifacts / "checkpoint"),
        "SOLEMATE_INDEX": str(artifacts / "catalog"),
    }
    os.execve(python, [python, "-P", "-m", "service", "serve"], {**os.environ, **settings})


if __name__ == "__main__":
    main()
