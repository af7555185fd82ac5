"""The report of MNIST's reproduction: figures beside the paper's, as Markdown and as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.evaluation.elbo import Bounds
from training.evaluation.tables import Picture, to_columns, to_document, to_pipe
from training.reproduce.common.report import Measured, Spread, summarize, summary_json, summary_table
from training.reproduce.mnist.measures import OVERALL, Order

PAPER = (("paper, VAE", 0.7508), ("paper, TVAE", 0.9560))
"""Triplet accuracies that the paper reports: running means over training and test batches, mixed."""

ORDER_COLUMNS: tuple[tuple[str, Callable[[Order], float]], ...] = (
    ("triplets", lambda order: order.triplet_accuracy),
    ("hard triplets", lambda order: order.hard_triplet_accuracy),
    ("hardest", lambda order: order.hardest_triplet_accuracy),
    ("recall@1", lambda order: order.recall_at_1),
    ("5-NN", lambda order: order.knn),
    ("MAP@R", lambda order: order.map_at_r),
)

COLUMNS = {**{name: (100, 2) for name, _ in ORDER_COLUMNS}, "-ELBO": (1, 2), "IW": (1, 2), "seconds": (1, 0)}
"""Figure -> its scale and digits in the table."""

NOTES = """\
All figures are of the 10,000 held-out pictures, clean, through the network's mean vector (order) or one sample of its
posterior (-ELBO); the order in percent, the bounds in nats per picture. Behind ± stands the standard deviation over the
seeds.

- **triplets**: the share of the fixed list whose positive is nearer to the anchor than the negative; a tie is wrong.
- **hard triplets**: each picture once as the anchor, with a random picture of its digit (one circle through each digit,
  fixed by a seed) as the positive and, as the negative, the picture of another digit that is nearest to it in pixels:
  one fixed list for all networks.
- **hardest**: the same anchors and positives, with the picture of another digit that the very embedding puts nearest to
  the anchor. A single wrong picture in the midst of a digit breaks most of that digit's thousand.
- **recall@1**: held-out pictures whose nearest other held-out picture is of their digit.
- **5-NN**: held-out pictures whose digit is that of most of their five nearest *training* pictures.
- **MAP@R**: mean average precision at R within the held-out pictures (Musgrave et al., 2020).
- **-ELBO**: grey levels as the expectation of a Bernoulli, KL weight 1, one sample; **IW**: the importance-weighted
  bound of {samples} samples on the first {images:,} pictures.
- **digit**: the slice that the triplets order; **overall**: the whole vector of 20.

The paper's accuracies are as printed: running means over training batches and test passes, on triplets of its own."""

READING = """\
## The authors' recipe

784-400-(20, 20)-400-784 with ReLU, a Bernoulli likelihood on grey levels; 0.01 of the VAE's loss, 1 of the triplet term
(margin 0.2, Euclidean distances of the means) and 0.001 of the norm of the means; Adam at 0.001, batches of 120
triplets, 10 epochs. The baseline is the same code with the VAE's loss alone. What the paper leaves open is read so:
the VAE's loss is the mean per picture over all three roles' pictures, summed over pixels and latents; 50,000 triplets
are drawn once; the norm is the Frobenius norm of each role's means in the batch, the three added."""


@dataclass(frozen=True)
class MeasuredDigits(Measured):
    """One trained network's figures. `order`: part of the vector -> its order."""

    bounds: Bounds
    order: Mapping[str, Order]

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Part of the vector -> its figures; the bounds and the time stand with the whole vector."""
        parts = {part: {name: read(order) for name, read in ORDER_COLUMNS} for part, order in self.order.items()}
        whole = {"-ELBO": self.bounds.negative_elbo, "IW": self.bounds.importance, "seconds": self.trained.seconds}
        parts[OVERALL] |= whole
        return parts

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        order = {part: asdict(order) for part, order in self.order.items()}
        return {**self.trained.to_json(), "bounds": asdict(self.bounds), "order": order}


@dataclass(frozen=True)
class Report:
    """Everything that was measured.

    Attributes:
        source: of the pictures.
        training_images: how many were trained on.
        test_images: how many were measured.
        triplets: how many there were.
        triplet_source: where they came from.
        runs: at least one of each recipe.
    """

    source: str
    training_images: int
    test_images: int
    triplets: int
    triplet_source: str
    runs: tuple[MeasuredDigits, ...]

    def to_markdown(self, pictures: Sequence[Picture] = ()) -> str:
        """The report; `pictures` lie beside it."""
        seeds = sorted({run.trained.seed for run in self.runs})
        bounds = self.runs[0].bounds
        parts = [
            "# TVAE on MNIST",
            (
                f"{self.training_images:,} pictures to train on, {self.test_images:,} held out; {self.triplets:,} test "
                f"triplets ({self.triplet_source}); seeds: {', '.join(map(str, seeds))}."
            ),
            to_pipe(self._table()),
            "What the order costs: the TVAE's bound less that of the VAE of the same recipe and seed, in nats.",
            to_pipe(self._costs(), 1),
            NOTES.format(samples=bounds.importance_samples, images=bounds.importance_images),
            READING,
        ]
        return to_document(parts, pictures)

    def to_text(self) -> str:
        """The table of figures for a terminal."""
        return "\n".join(to_columns(self._table()))

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs: shares in [0, 1], nats and seconds.

        {"format_version": 1, "source", "training_images", "test_images", "triplets": {"count", "source"},
         "paper": {name: triplet accuracy},
         "runs": [{"recipe", "seed", "epochs", "seconds", "images_per_second", "checkpoint", "bounds": {...},
                   "order": {part: {...}}}],
         "summary": [{"recipe", "part", "figures": {name: {"mean", "deviation"}}}]}
        """
        return {
            "format_version": 1,
            "source": self.source,
            "training_images": self.training_images,
            "test_images": self.test_images,
            "triplets": {"count": self.triplets, "source": self.triplet_source},
            "paper": dict(PAPER),
            "runs": [run.to_json() for run in self.runs],
            "summary": summary_json(summarize(self.runs)),
        }

    def _table(self) -> list[list[str]]:
        table = [["network", "part", *COLUMNS]]
        table += [[name, OVERALL, f"{100 * share:.2f}", *["-"] * (len(COLUMNS) - 1)] for name, share in PAPER]
        return table + summary_table(summarize(self.runs), COLUMNS)

    def _costs(self) -> list[list[str]]:
        table = [["recipe", "-ELBO", "IW"]]
        bounds = {(run.trained.recipe.key, run.trained.seed): run.bounds for run in self.runs}
        for name, prefix in (("authors'", "authors"), ("ours", "our")):
            pairs = [
                (with_triplets, bounds[f"{prefix}-vae", seed])
                for (key, seed), with_triplets in bounds.items()
                if key == f"{prefix}-tvae"
            ]
            elbo = Spread.of([a.negative_elbo - b.negative_elbo for a, b in pairs])
            importance = Spread.of([a.importance - b.importance for a, b in pairs])
            table.append([name, elbo.to_text(1, 2), importance.to_text(1, 2)])
        return table
