"""Evaluation of checkpoints on held-out shoes: `python -m training evaluate`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from model.catalog import Catalog, read_catalog
from model.checkpoint import Checkpoint, load_checkpoint
from model.embedder import Embedder
from model.errors import ArtifactCorrupt, CatalogError, QueryError
from model.files import write_atomic, write_json
from model.inference import pick_device
from model.preprocess import PreprocessConfig
from model.progress import progress
from model.text import nfc
from training.data.images import ImageSet, digest_ids, load_images, split_by_group, take_listed, take_shoes
from training.evaluation.embeddings import Embedding, embed_pixels, embed_shoes
from training.evaluation.gallery import draw_gallery
from training.evaluation.metrics import measure_retrieval, measure_triplets
from training.evaluation.report import Row, Summary
from training.evaluation.tables import write_pictures
from training.evaluation.tasks import SimilarityTask, list_attributes, make_tasks, write_drawn_triplets


def evaluate(
    folders: Sequence[Path],
    catalog: str,
    *,
    out: Path,
    ids: Path | None = None,
    triplets: Mapping[str, Path] | None = None,
    attributes: Sequence[str] = (),
    device: str = "auto",
    seed: int = 0,
    pictures: bool = True,
) -> Summary:
    """Measure checkpoints, and pixel distance beside them, on the same shoes and the same triplets.

    Writes `metrics.json`, `report.md`, its PNGs and the drawn triplets to `out`; and the first checkpoint's figures
    into its own `metrics.json`, under `evaluation`.

    Args:
        folders: of the checkpoint to evaluate and of those to compare it with.
        catalog: as `read_catalog` takes it.
        out: a folder; made if it is not there.
        ids: a file that names the shoes; without it, those that the first checkpoint's training held out.
        triplets: attribute -> a list; for other attributes triplets are drawn.
        attributes: to measure beside those of the checkpoints' conditions and of `triplets`.
        device: "auto", "cpu" or "cuda".
        seed: of the drawn triplets and of the choice of shoes for the pictures.
        pictures: draw them; half of the time goes into it.

    Raises:
        ArtifactError: a checkpoint can't be used.
        CatalogError: the catalogue, the ids or a triplet list can't.
        QueryError: no such device.
        TrainingError: nothing to measure, or a network that gives no finite vectors.
        OSError: `out` can't be written.
    """
    used = pick_device(device)
    checkpoints = [load_checkpoint(folder) for folder in folders]
    metrics = _read_metrics(folders[0])
    names = list_attributes(checkpoints, triplets or {}, attributes)
    shoes, choice, warnings = _choose_shoes(read_catalog(catalog), checkpoints, ids)
    embeddings, images = _embed(folders, checkpoints, shoes, used)
    tasks, more = make_tasks(names, images, triplets or {}, seed)
    summary = Summary(
        catalog=catalog,
        shoes=len(images),
        choice=choice,
        tasks=tuple(tasks),
        embeddings=tuple(embeddings),
        rows=_measure(embeddings, tasks),
        warnings=(*warnings, *more, *_warn_of_missing_bounds(embeddings)),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_drawn_triplets(out, tasks, images)
    drawn = write_pictures(out, draw_gallery(embeddings, images, tasks, seed=seed)) if pictures else []
    write_atomic(out / "report.md", summary.to_markdown(drawn).encode())
    write_json(out / "metrics.json", summary.to_json())
    write_json(folders[0] / "metrics.json", {**metrics, "evaluation": _of_first(summary)})
    return summary


def parse_lists(options: Sequence[str]) -> dict[str, Path]:
    """Read `ATTRIBUTE=FILE` options. Raises QueryError for any other spelling."""
    lists = {}
    for option in options:
        attribute, equals, path = option.partition("=")
        if not (attribute and equals and path):
            raise QueryError("triplets", f"--triplets {option!r}; expected ATTRIBUTE=FILE, such as gender=gender.npy")
        lists[nfc(attribute)] = Path(path)
    return lists


def _choose_shoes(
    catalog: Catalog, checkpoints: Sequence[Checkpoint], ids: Path | None
) -> tuple[Catalog, str, list[str]]:
    """The evaluated part of the catalogue, which it is in words, and what to warn of."""
    if ids is not None:
        listed = take_listed(catalog, ids)
        return listed, f"those of {ids.name}", _warn_of_trained(checkpoints, [shoe.id for shoe in listed.shoes])
    splits = [
        (float(each.training.get("validation_share", 0)), int(each.training.get("seed", 0))) for each in checkpoints
    ]
    share, seed = splits[0]
    held_out = split_by_group((shoe.group for shoe in catalog.shoes), share, seed)[1]
    if not held_out:
        return catalog, "all", ["the checkpoint was trained on these shoes: its training held none out"]
    warnings = []
    if any(split != splits[0] for split in splits[1:]):
        warnings.append("a compared checkpoint held out other shoes: it may have been trained on these")
    return take_shoes(catalog, held_out), f"the {share:.0%} held out of training by seed {seed}", warnings


def _warn_of_trained(checkpoints: Sequence[Checkpoint], ids: Sequence[str]) -> list[str]:
    """Did the training of each checkpoint leave out these very shoes?"""
    digest = digest_ids(ids)
    if all(each.training.get("excluded_sha256") == digest for each in checkpoints):
        return []
    return ["a checkpoint's training did not leave out these very shoes (--exclude-ids): it may have seen some of them"]


def _warn_of_missing_bounds(embeddings: Sequence[Embedding]) -> list[str]:
    return [
        f"{each.name} does not say which likelihood it was trained with: its -ELBO is left out"
        for each in embeddings
        if each.reconstruction is not None and each.elbo is None
    ]


def _embed(
    folders: Sequence[Path], checkpoints: Sequence[Checkpoint], shoes: Catalog, device: torch.device
) -> tuple[list[Embedding], ImageSet]:
    """All embeddings, pixels last; and the pictures as the first checkpoint sees them."""
    sets: dict[PreprocessConfig | str, ImageSet] = {}
    embeddings = []
    for name, checkpoint in zip(_short_names(folders), checkpoints, strict=True):
        # A localizer, which is the checkpoint's own, is part of what makes its pixels.
        framing = checkpoint.preprocess if checkpoint.localizer is None else checkpoint.digest
        embedder = Embedder(checkpoint, device=device)
        if framing not in sets:
            sets[framing] = load_images(shoes, embedder.preprocessor)
        embeddings.append(embed_shoes(name, checkpoint, sets[framing], embedder))
    images = next(iter(sets.values()))
    if len(images) < 2:
        raise CatalogError(f"{shoes.source}: one shoe is too few to evaluate on")
    return [*embeddings, embed_pixels(images)], images


def _short_names(folders: Sequence[Path]) -> list[str]:
    """The folders' last names; their whole paths where those are the same."""
    names = [folder.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def _measure(embeddings: Sequence[Embedding], tasks: Sequence[SimilarityTask]) -> tuple[Row, ...]:
    """All figures, by attribute and then by embedding. Each slice is ranked once for all its attributes."""
    rows: list[tuple[int, Row]] = []
    parts = [(embedding, name, part) for embedding in embeddings for name, part in embedding.parts().items()]
    with progress(desc="measure", unit="slices", total=len(parts)) as shown:
        for embedding, name, part in parts:
            measured = [task for task in tasks if embedding.answers(name, task.name)]
            labelled = [task for task in measured if task.labels is not None]
            found = measure_retrieval(part, [q.labels for q in labelled if q.labels is not None])
            retrieval = dict(zip((task.name for task in labelled), found, strict=True))
            for task in measured:
                accuracy = None if task.triplets is None else measure_triplets(part, task.triplets)
                row = Row(embedding.name, name, task.name, part.shape[1], accuracy, retrieval.get(task.name))
                rows.append((tasks.index(task), row))
            shown.update()
    return tuple(row for _, row in sorted(rows, key=lambda pair: pair[0]))


def _read_metrics(folder: Path) -> dict[str, Any]:
    """What a checkpoint's metrics.json holds. Read first, so that a long evaluation does not end in this error."""
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        metrics = None
    if not isinstance(metrics, dict):
        raise ArtifactCorrupt(f"{path} is not a JSON object; move it away and evaluate again")
    return metrics


def _of_first(summary: Summary) -> dict[str, Any]:
    """The part of the results that is the first checkpoint's own; without paths of this machine."""
    found = summary.to_json()
    facts = {key: found[key] for key in ("shoes", "choice", "warnings", "attributes")}
    name = summary.embeddings[0].name
    model = {key: value for key, value in found["models"][0].items() if key != "name"}
    rows = [
        {key: value for key, value in row.items() if key != "model"} for row in found["rows"] if row["model"] == name
    ]
    return {**facts, **model, "rows": rows}
