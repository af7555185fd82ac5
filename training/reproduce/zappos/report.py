"""The report of UT-Zap50K's reproduction: errors beside the published ones, as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from training.evaluation.csn import ATTRIBUTES, CONDITIONS
from training.evaluation.embeddings import OVERALL
from training.evaluation.metrics import Reconstruction
from training.evaluation.tables import Picture, to_columns, to_document, to_pipe
from training.reproduce.common.report import Measured, summarize, summary_json, summary_table
from training.reproduce.zappos.split import Choice, HeldOut

SLICES = "slices"
"""Each condition measured on its own slice, beside the whole vector."""

PUBLISHED = (("standard triplet network", 0.2372), ("one network per condition", 0.1135), ("CSN", 0.1073))
"""Mean errors over the four conditions (Veit et al., "Conditional Similarity Networks", CVPR 2017)."""

COLUMNS = {**dict.fromkeys((*CONDITIONS, "mean"), (100, 2)), "MSE": (1, 4), "seconds": (1, 0)}
"""Figure -> its scale and digits in the table."""

DRAWN = """\
**These lists are not CSN's: they were drawn from the labels of a catalogue. The published errors are of other triplets
and, unless the catalogue is UT-Zap50K, of other pictures; they can't be compared with those measured here.**"""

NOTES = """\
The error is the share of test triplets whose close shoe is not nearer to the anchor than the far one, by the Euclidean
distance of the mean vectors; in percent, lower is better, and a tie is an error. **mean** is over the four conditions.
**MSE** is the mean squared error per pixel and channel of the decoded mean vector, of pictures in [0, 1], over the test
shoes; their mean picture in place of each gets {mean_image_mse:.4f}. Behind ± stands the standard deviation over the
seeds.

- **pixel distance**: the {size}x{size} pictures themselves as vectors, as the networks see them.
- **VAE**: no triplets at all.
- **triplet network**: the encoder alone, all four conditions' triplets on its one vector.
- **TVAE, one slice**: the same triplets on the one vector of a VAE.
- **TVAE, slices**: the conditional TVAE, with each condition's triplets on a slice of its own, and a slice that none
  of them orders. *{slices}*: each condition by its slice, which is what the network is for; *{overall}*: all of them by
  the whole vector.

The published errors are as published, not re-measured here. They come of other conditions than ours:

- They, and the TVAE's paper, train on CSN's train triplets. Here training is our own, on the labels of the catalogue's
  table ({attributes}): two shoes are alike if they share a value, and the
  triplets of a batch are every negative for some positives of each anchor, in a softplus.
- Here no shoe of the val and test lists is trained on, nor another colour of one.
- CSN's network is a ResNet-18 that knows ImageNet, on pictures of 112x112. Ours starts from nothing, on {size}x{size}.
- CSN's lists called class go by the type of shoe: shoes, boots, sandals or slippers. They measure our category."""


@dataclass(frozen=True)
class Errors:
    """Of one part of a vector: shares of triplets in [0, 1]. `conditions`: condition -> its error."""

    conditions: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over the conditions."""
        return mean(self.conditions.values())

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"errors": dict(self.conditions), "mean": self.mean}


@dataclass(frozen=True)
class MeasuredShoes(Measured):
    """One trained network's figures.

    Attributes:
        parts: `SLICES` or `OVERALL` -> the errors of that part.
        reconstruction: None of a network without a decoder.
    """

    parts: Mapping[str, Errors]
    reconstruction: Reconstruction | None

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Part of the vector -> its figures; the time and the MSE stand with the whole vector."""
        parts = {part: {**errors.conditions, "mean": errors.mean} for part, errors in self.parts.items()}
        parts[OVERALL]["seconds"] = self.trained.seconds
        if self.reconstruction is not None:
            parts[OVERALL]["MSE"] = self.reconstruction.mse
        return parts

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        measured = self.reconstruction
        return {
            **self.trained.to_json(),
            "mse": None if measured is None else measured.mse,
            "mean_image_mse": None if measured is None else measured.mean_image_mse,
            "parts": {part: errors.to_json() for part, errors in self.parts.items()},
        }


@dataclass(frozen=True)
class Report:
    """Everything that was measured.

    Attributes:
        catalog: what was read.
        lists: the folder of the triplet lists.
        drawn: the lists were drawn, and are not the published ones.
        shoes: of the catalogue.
        choice: which of them were kept out of training.
        training_shoes: how many were trained on.
        test: what was measured.
        network: its preset.
        pixels: the errors of pixel distance.
        runs: at least one of each recipe.
    """

    catalog: str
    lists: str
    drawn: bool
    shoes: int
    choice: Choice
    training_shoes: int
    test: HeldOut
    network: str
    pixels: Errors
    runs: tuple[MeasuredShoes, ...]

    def to_markdown(self, pictures: Sequence[Picture] = ()) -> str:
        """The report; `pictures` lie beside it."""
        parts = [
            "# TVAE on shoes, by drawn triplets" if self.drawn else "# TVAE on shoes, by CSN's triplets",
            self._describe(),
            *([DRAWN] if self.drawn else []),
            to_pipe(self._table()),
            self._notes(),
            "## Test triplets",
            to_pipe(self._triplet_table(), 1),
        ]
        return to_document(parts, pictures)

    def to_text(self) -> str:
        """Who was trained on and measured, and the table of figures, for a terminal."""
        warning = "The lists are drawn, not CSN's: the published errors can't be compared with these.\n\n"
        table = "\n".join(to_columns(self._table()))
        return f"{self._describe()}\n\n{warning if self.drawn else ''}{table}"

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs: errors as shares in [0, 1], and seconds.

        {"format_version": 1, "catalog", "lists": {"folder", "drawn"}, "network",
         "shoes": {"catalog", "listed", "variants", "training", "test"},
         "triplets": {condition: {"listed", "usable", "missing", "repeated"}},
         "published": {name: mean error}, "pixels": {"errors": {condition: error}, "mean"},
         "runs": [{"recipe", "seed", "epochs", "seconds", "images_per_second", "checkpoint", "mse", "mean_image_mse",
                   "parts": {part: {"errors": {condition: error}, "mean"}}}],
         "summary": [{"recipe", "part", "figures": {name: {"mean", "deviation"}}}]}
        """
        return {
            "format_version": 1,
            "catalog": self.catalog,
            "lists": {"folder": self.lists, "drawn": self.drawn},
            "network": self.network,
            "shoes": {
                "catalog": self.shoes,
                "listed": len(self.choice.listed),
                "variants": len(self.choice.variants),
                "training": self.training_shoes,
                "test": len(self.test.images),
            },
            "triplets": {
                name: {
                    "listed": each.listed,
                    "usable": len(each.triplets),
                    "missing": each.missing,
                    "repeated": each.repeated,
                }
                for name, each in self.test.lists.items()
            },
            "published": dict(PUBLISHED),
            "pixels": self.pixels.to_json(),
            "runs": [run.to_json() for run in self.runs],
            "summary": summary_json(summarize(self.runs)),
        }

    def _describe(self) -> str:
        seeds = ", ".join(str(seed) for seed in sorted({run.trained.seed for run in self.runs}))
        usable = sum(len(each.triplets) for each in self.test.lists.values())
        return (
            f"{self.training_shoes:,} shoes to train on, of {self.shoes:,} in {self.catalog}. Kept out of training: "
            f"{len(self.choice.listed):,} that the val and test lists in {self.lists} name, and "
            f"{len(self.choice.variants):,} other colours of them. Measured: {usable:,} test triplets of "
            f"{len(self.test.images):,} shoes. Network: {self.network}; epochs: "
            f"{len(self.runs[0].trained.history)}; seeds: {seeds}."
        )

    def _notes(self) -> str:
        measured = [run.reconstruction for run in self.runs if run.reconstruction is not None]
        return NOTES.format(
            mean_image_mse=measured[0].mean_image_mse,
            size=self.test.images.pixels.shape[-1],
            attributes=", ".join(ATTRIBUTES.values()),
            slices=SLICES,
            overall=OVERALL,
        )

    def _table(self) -> list[list[str]]:
        table = [["network", "compared", *COLUMNS]]
        blank = [""] * len(CONDITIONS)
        table += [[name, "as published", *blank, f"{100 * error:.2f}", "", ""] for name, error in PUBLISHED]
        pixels = [*(self.pixels.conditions[name] for name in CONDITIONS), self.pixels.mean]
        table.append(["pixel distance", "pixels", *(f"{100 * error:.2f}" for error in pixels), "", ""])
        return table + summary_table(summarize(self.runs), COLUMNS)

    def _triplet_table(self) -> list[list[str]]:
        table = [["condition", "in the list", "usable", "of a shoe that the catalogue lacks", "naming a shoe twice"]]
        for name, each in self.test.lists.items():
            counts = (each.listed, len(each.triplets), each.missing, each.repeated)
            table.append([name, *(f"{count:,}" for count in counts)])
        return table
