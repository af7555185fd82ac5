import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.store.locks import locked, remove_leftovers

HOLD = """
import sys, time
from pathlib import Path
from service.store.locks import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    """Nobody is within the block while another is, and no file stays behind."""
    inside, most = 0, 0

    def enter(_: int) -> None:
        nonlocal inside, most
        with locked(tmp_path):
            inside += 1
            most = max(most, inside)
            list(tmp_path.iterdir())
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(200)))
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """Its lock is gone with it."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        holder.kill()
    with locked(tmp_path):
        pass


def test_leftovers(tmp_path: Path) -> None:
    """Only what was on its way to become that file goes."""
    for name in ("index", ".index.abc.tmp", ".index.def.tmp", ".index2.abc.tmp", ".index.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".index.tmp", ".index2.abc.tmp", "index"]
