"""The report of a reproduction: each network's figures, summarized over the seeds, its curves, and the files."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple, Protocol

from model.files import write_atomic, write_json
from training.evaluation.tables import Picture, write_pictures
from training.figures.curves import draw_panels
from training.reproduce.common.runs import Recipe, Trained

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Measured(ABC):
    """One trained network with its figures."""

    trained: Trained

    @abstractmethod
    def figures(self) -> Mapping[str, Figures]:
        """Part of the vector -> its figures; those of the network as a whole stand with the whole vector."""


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds. `deviation` is the sample's standard deviation; None of one seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(mean(values), stdev(values) if len(values) > 1 else None)

    def to_text(self, scale: float, digits: int) -> str:
        """Such as "99.71 ± 0.03"."""
        text = f"{scale * self.mean:.{digits}f}"
        return text if self.deviation is None else f"{text} ± {scale * self.deviation:.{digits}f}"


class SummaryRow(NamedTuple):
    """The figures of one part of one recipe's networks over the seeds."""

    recipe: Recipe
    part: str
    figures: Mapping[str, Spread]


def summarize(runs: Sequence[Measured]) -> list[SummaryRow]:
    """A row for each recipe and part, in the order of the runs."""
    by_recipe: dict[Recipe, list[Mapping[str, Figures]]] = {}
    for run in runs:
        by_recipe.setdefault(run.trained.recipe, []).append(run.figures())
    return [
        SummaryRow(recipe, part, {name: Spread.of([each[part][name] for each in seeds]) for name in seeds[0][part]})
        for recipe, seeds in by_recipe.items()
        for part in seeds[0]
    ]


def summary_json(rows: Sequence[SummaryRow]) -> list[dict[str, Any]]:
    """[{"recipe", "part", "figures": {name: {"mean", "deviation"}}}]."""
    return [
        {"recipe": recipe.key, "part": part, "figures": {name: asdict(each) for name, each in figures.items()}}
        for recipe, part, figures in rows
    ]


def summary_table(rows: Sequence[SummaryRow], columns: Mapping[str, tuple[float, int]]) -> list[list[str]]:
    """Title, part and cells of each row. `columns`: name -> scale and digits; a cell is empty without that figure."""
    return [[row.recipe.title, row.part, *(_cell(row, name, *form) for name, form in columns.items())] for row in rows]


def _cell(row: SummaryRow, name: str, scale: float, digits: int) -> str:
    return row.figures[name].to_text(scale, digits) if name in row.figures else ""


def draw_learning_curves(
    networks: Sequence[Trained], triplet_title: str, *, unbounded: Collection[Recipe] = ()
) -> bytes:
    """Negative ELBO and triplet term of the training batches, epoch by epoch: the bytes of a PNG.

    Args:
        networks: in the legend's order.
        triplet_title: of the triplet term's panel. A network with several such terms is drawn by their mean.
        unbounded: recipes that do not train by the ELBO; theirs is not drawn.
    """
    bounds: dict[str, list[tuple[int, float]]] = {}
    triplets: dict[str, list[tuple[int, float]]] = {}
    for network in networks:
        title, figures = network.recipe.title, [(each["epoch"], each["training"]) for each in network.history]
        if network.recipe not in unbounded:
            bounds[title] = [(epoch, each["reconstruction"] + each["kl"]) for epoch, each in figures]
        if names := [name for name in figures[0][1] if name.startswith("triplet/")]:
            triplets[title] = [(epoch, mean(each[name] for name in names)) for epoch, each in figures]
    panels = {"-ELBO, nats per picture": bounds, triplet_title: triplets}
    return draw_panels(panels, "On training batches", logarithmic=[triplet_title])


class Report(Protocol):
    """Everything that a reproduction measured."""

    def to_markdown(self, pictures: Sequence[Picture] = ()) -> str:
        """The report; `pictures` lie beside it."""

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""


def write_report(out: Path, report: Report, pictures: Iterable[tuple[str, str, bytes]]) -> None:
    """Write `report.md`, `report.json` and the pictures, given as heading, file name and PNG."""
    written = write_pictures(out, pictures)
    write_atomic(out / "report.md", report.to_markdown(written).encode())
    write_json(out / "report.json", report.to_json())
