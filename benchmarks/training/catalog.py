"""From a catalogue to the plan that all sides share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.training.plan import Plan
from model.catalog import read_catalog
from model.errors import CatalogError
from model.progress import progress
from model.tvae import NETWORK_PRESETS
from training.conditions import choose_conditions, cut_latent
from training.demo_catalog import draw_demo_catalog


def draw_shoes(folder: Path, count: int) -> str:
    """Draw `count` shoes below `folder`, unless an earlier run did, and return the catalogue as one names it."""
    out = folder / f"demo-{count}"
    if not out.exists():
        with progress(desc="draw", unit="shoes", total=count) as shown:
            draw_demo_catalog(out, count=count, on_progress=shown.update)
    return str(out)


def make_plan(catalog: str, *, network: str, epochs: int, batch_size: int, device: str) -> Plan:
    """Read a catalogue and choose what to train on it as `python -m training train` does.

    Raises:
        CatalogError: the catalogue can't be read, or has bad rows: a loop that opens its pictures would stop at them.
    """
    read = read_catalog(catalog)
    if read.bad_rows:
        bad = read.bad_rows[0]
        raise CatalogError(f"{catalog} has {len(read.bad_rows)} bad rows, such as {bad.row}: {bad.reason}")
    attributes = [shoe.attributes for shoe in read.shoes]
    preset = NETWORK_PRESETS[network]
    shape, conditions = cut_latent(preset, preset.latent_size, choose_conditions(None, attributes, triplet_weight=1.0))
    chosen = {condition.name: condition.attributes[0] for condition in conditions}
    return Plan(
        catalog=catalog,
        network=network,
        slices=shape.slices,
        attributes=chosen,
        images=tuple(str(shoe.image) for shoe in read.shoes),
        labels={name: _number(attributes, attribute) for name, attribute in chosen.items()},
        epochs=epochs,
        batch_size=batch_size,
        device=device,
    )


def _number(attributes: Sequence[Mapping[str, tuple[str, ...]]], attribute: str) -> tuple[int, ...]:
    """A class for each shoe: those with the same values share it; -1 for those without any."""
    values = [each.get(attribute, ()) for each in attributes]
    classes = {value: index for index, value in enumerate(sorted({value for value in values if value}))}
    return tuple(classes.get(value, -1) for value in values)
