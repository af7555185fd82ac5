"""Plans and runs made for tests."""

from benchmarks.training.plan import Plan, Timings
from benchmarks.training.rounds import Run
from model.tvae import Slice

__all__ = ["make_plan", "make_run"]


def make_plan() -> Plan:
    """Three shoes whose pictures nobody opens."""
    return Plan(
        catalog="shoes",
        network="shoes",
        slices=(Slice("gender", 8), Slice("free", 4)),
        attributes={"gender": "Gender"},
        images=("a.jpg", "b.jpg", "c.jpg"),
        labels={"gender": (0, 1, -1)},
        epochs=3,
        batch_size=2,
        device="cpu",
    )


def make_run(side: str, number: int, *, seconds: float, whole: float = 20.0) -> Run:
    """A run over 100 shoes whose epochs took `seconds`, but for a slower first one."""
    return Run(
        side=side,
        round=number,
        images=100,
        imports=2.0,
        loading=1.0,
        whole=whole,
        timings=Timings(
            imported=2.0,
            loaded=3.0,
            epochs=(9.0, seconds, seconds),
            figures={"loss": 1.0} if side == "pythae" else {"loss": 1.0, "reconstruction": -1234.5, "kl": 6.78},
            threads=2,
            versions={"torch": "2.14"},
        ),
    )
