"""The report of an evaluation, as text for a terminal, as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.elbo import NegativeElbo
from training.evaluation.embeddings import Embedding
from training.evaluation.metrics import RECALL_AT, Retrieval
from training.evaluation.tables import Picture, to_columns, to_document, to_pipe
from training.evaluation.tasks import SimilarityTask

HEADINGS = ("triplets", *(f"recall@{k}" for k in RECALL_AT), "MAP@R")
DECODER_HEADINGS = ("likelihood", "MSE", "-ELBO", "KL", "nats/dim")


@dataclass(frozen=True)
class Row:
    """Figures of one slice of one embedding, by one notion of likeness.

    Attributes:
        model: the embedding's name.
        slice: the slice's name, or "overall" for the whole vector.
        attribute: the notion of likeness.
        dimensions: of the slice.
        accuracy: triplet accuracy; None without triplets.
        retrieval: None where the catalogue has no such attribute, or no shoe has an alike one.
    """

    model: str
    slice: str
    attribute: str
    dimensions: int
    accuracy: float | None
    retrieval: Retrieval | None

    @property
    def figures(self) -> tuple[float | None, ...]:
        """In the order of `HEADINGS`."""
        if self.retrieval is None:
            return (self.accuracy, *(None for _ in HEADINGS[1:]))
        return (self.accuracy, *self.retrieval.recall.values(), self.retrieval.map_at_r)


@dataclass(frozen=True)
class Summary:
    """An evaluation's results.

    Attributes:
        catalog: the catalogue's source.
        shoes: how many were evaluated.
        choice: which, in words.
        tasks: the attributes that were measured by.
        embeddings: the evaluated checkpoint's first.
        rows: by attribute, then by model.
        warnings: what a reader of the figures has to know.
    """

    catalog: str
    shoes: int
    choice: str
    tasks: tuple[SimilarityTask, ...]
    embeddings: tuple[Embedding, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()

    def to_text(self) -> str:
        """One aligned table, at most 100 columns wide, with a heading for each attribute."""
        lines = [f"{self.shoes:,} shoes: {self.choice}", *(f"warning: {warning}" for warning in self.warnings)]
        table = [["", "slice", "size", *HEADINGS]]
        table += [
            [_cut(row.model, 24), _cut(row.slice, 18), str(row.dimensions), *map(_percent, row.figures)]
            for row in self.rows
        ]
        heading, *aligned = (f"  {line}" for line in to_columns(table))
        for task in self.tasks:
            rows = [row for row in self.rows if row.attribute == task.name]
            lines += ["", _describe(task, rows), heading]
            lines += [line for line, row in zip(aligned, self.rows, strict=True) if row.attribute == task.name]
        table = [["", *DECODER_HEADINGS], *([_cut(name, 24), *cells] for name, *cells in self._decoders())]
        return "\n".join([*lines, "", DECODER_TITLE, *(f"  {line}" for line in to_columns(table))])

    def to_markdown(self, pictures: Sequence[Picture] = ()) -> str:
        """A report, best figures in bold; `pictures` are headings and file names beside it."""
        parts = ["# Evaluation", f"{self.shoes:,} shoes of `{self.catalog}`: {self.choice}."]
        parts += [f"> **Warning**: {warning}." for warning in self.warnings]
        for task in self.tasks:
            rows = [row for row in self.rows if row.attribute == task.name]
            columns = zip(*(row.figures for row in rows), strict=True)
            best = [max((figure for figure in column if figure is not None), default=None) for column in columns]
            table = [["embedding", "slice", "size", *HEADINGS]]
            for row in rows:
                cells = [_percent(figure, top) for figure, top in zip(row.figures, best, strict=True)]
                table.append([row.model, row.slice, str(row.dimensions), *cells])
            parts += [f"## {task.name}", _describe(task, rows).partition(": ")[2] + ".", to_pipe(table)]
        table = [["network", *DECODER_HEADINGS], *self._decoders()]
        return to_document([*parts, "## Reconstruction", to_pipe(table), DECODER_NOTES, NOTES], pictures)

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs; figures that do not exist are null.

            {"format_version": 1, "catalog": str, "shoes": int, "choice": str,
             "warnings": [str],
             "attributes": [{"name", "triplets": int, "source": str}],
             "models": [{"name", "digest", "dimensions", "mse": float | null, "mean_image_mse": float | null,
                         "elbo": null | {"likelihood", "observation_std": float | null, "negative_elbo": nats,
                                         "reconstruction": nats, "kl": nats, "nats_per_dimension": nats}}],
             "rows": [{"model", "slice", "attribute", "dimensions", "triplet_accuracy": share | null,
                       "queries": int, "left_out": int, "recall": {"1": share, "5": ..., "10": ...},
                       "map_at_r": share}]}

        The last four keys of a row are null where no shoe could be a query.
        """
        return {
            "format_version": 1,
            "catalog": self.catalog,
            "shoes": self.shoes,
            "choice": self.choice,
            "warnings": list(self.warnings),
            "attributes": [{"name": task.name, "triplets": task.size, "source": task.source} for task in self.tasks],
            "models": [_model_json(each) for each in self.embeddings],
            "rows": [_row_json(row) for row in self.rows],
        }

    def _decoders(self) -> list[list[str]]:
        """Name and, in the order of `DECODER_HEADINGS`, figures of each decoder, and of the mean picture."""
        measured = [(each, each.reconstruction) for each in self.embeddings if each.reconstruction is not None]
        rows = [_decoder_row(each.name, reconstruction.mse, each.elbo) for each, reconstruction in measured]
        if measured:
            rows.append(_decoder_row("the mean picture", measured[0][1].mean_image_mse))
        return rows


NOTES = (
    "Triplets: the share whose positive is nearer than their negative. recall@k: the share of shoes with an alike one "
    "among the k nearest others. MAP@R: mean average precision at R (Musgrave et al., 2020). All in percent."
)
DECODER_TITLE = "reconstruction: squared error of pictures in [0, 1]; -ELBO and KL in nats a picture"
DECODER_NOTES = (
    "MSE: mean squared error per pixel and channel, of pictures in [0, 1] drawn from their mean vectors. -ELBO: nats "
    "per picture by the likelihood of the training, with one sample of each posterior and KL weight 1; KL is a part of "
    "it, and nats/dim the same per pixel and channel. A Gaussian's is a density's: it may be negative, and it compares "
    "only networks of one size of picture and one std."
)


def _describe(task: SimilarityTask, rows: Sequence[Row]) -> str:
    triplets = f"{task.size:,} triplets ({task.source})" if task.size else "no triplets"
    retrieval = next((row.retrieval for row in rows if row.retrieval is not None), None)
    if retrieval is None:
        return f"{task.name}: {triplets}; no labels"
    return f"{task.name}: {triplets}; {retrieval.queries:,} queries, {retrieval.left_out:,} left out"


def _decoder_row(name: str, mse: float, elbo: NegativeElbo | None = None) -> list[str]:
    if elbo is None:
        return [name, "-", f"{mse:.5f}", "-", "-", "-"]
    nats = (f"{elbo.total:.1f}", f"{elbo.kl:.1f}", f"{elbo.per_dimension:.4f}")
    return [name, elbo.observation.describe(), f"{mse:.5f}", *nats]


def _percent(figure: float | None, top: float | None = None) -> str:
    """In percent; in Markdown's bold where it is the top one."""
    if figure is None:
        return "-"
    return f"**{100 * figure:.1f}**" if figure == top else f"{100 * figure:.1f}"


def _cut(name: str, length: int) -> str:
    """The end of a long name: of a path, that tells the most."""
    return name if len(name) <= length else "…" + name[1 - length :]


def _model_json(model: Embedding) -> dict[str, Any]:
    measured = model.reconstruction
    return {
        "name": model.name,
        "digest": model.digest,
        "dimensions": model.vectors.shape[1],
        "mse": measured.mse if measured else None,
        "mean_image_mse": measured.mean_image_mse if measured else None,
        "elbo": _elbo_json(model.elbo) if model.elbo else None,
    }


def _elbo_json(elbo: NegativeElbo) -> dict[str, Any]:
    return {
        "likelihood": elbo.observation.likelihood,
        "observation_std": elbo.observation.std,
        "negative_elbo": elbo.total,
        "reconstruction": elbo.reconstruction,
        "kl": elbo.kl,
        "nats_per_dimension": elbo.per_dimension,
    }


def _row_json(row: Row) -> dict[str, Any]:
    found = row.retrieval
    return {
        "model": row.model,
        "slice": row.slice,
        "attribute": row.attribute,
        "dimensions": row.dimensions,
        "triplet_accuracy": row.accuracy,
        "queries": found.queries if found else None,
        "left_out": found.left_out if found else None,
        "recall": {str(k): share for k, share in found.recall.items()} if found else None,
        "map_at_r": found.map_at_r if found else None,
    }
