"""The vectors of a folder's pictures as a file for other programs."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.catalog import BadRow, Catalog
from model.embedder import Vector
from model.errors import QueryError
from model.files import explained, write_parts
from model.progress import progress
from service.catalog.indexing.embed_pool import PoolFactory

Writer = Callable[[Sequence[str], Sequence[str], Vector, Mapping[str, str]], bytes | memoryview]
"""Ids, paths, vectors and facts to the content of a file."""


def embed_pictures(
    catalog: Catalog, make_pool: PoolFactory, out: Path, facts: Mapping[str, str]
) -> tuple[int, list[BadRow]]:
    """Embed a catalogue's pictures and write their vectors.

    Args:
        catalog: the pictures.
        make_pool: gives the worker pool that embeds so many.
        out: the file, `.parquet` or `.npz`.
        facts: name -> value, kept in the file.

    Returns:
        How many vectors were written, and what is left out.

    Raises:
        QueryError: see `choose_writer`; or no picture could be embedded.
        ArtifactError: the file can't be written.
    """
    write = choose_writer(out)
    ids, paths, vectors, bad = [], [], [], list(catalog.bad_rows)
    with (
        progress(desc="embed", unit="pictures", total=len(catalog.shoes)) as shown,
        make_pool(len(catalog.shoes)) as pool,
    ):
        for chunk in pool.embed(catalog.shoes):
            for shoe, result in chunk:
                if isinstance(result, BadRow):
                    bad.append(result)
                else:
                    ids.append(shoe.id)
                    paths.append(shoe.image.relative_to(catalog.root).as_posix())
                    vectors.append(result)
            shown.update(len(chunk))
    if not vectors:
        raise QueryError("pictures", f"none of the pictures in {catalog.root} can be read: {bad[0].reason}")
    content = write(ids, paths, np.stack(vectors), facts)
    with explained(out):
        write_parts(out, [content])
    return len(ids), bad


def choose_writer(out: Path) -> Writer:
    """What writes a file of this name.

    Raises:
        QueryError: of another ending.
        ModuleNotFoundError: the extra `parquet` is needed, and not installed.
    """
    if out.suffix == ".npz":
        return _to_npz
    if out.suffix != ".parquet":
        raise QueryError("out", f"{out} has another ending than .parquet and .npz, the formats that are written")
    import pyarrow.parquet  # noqa: F401, PLC0415 - an extra of its own, which is asked for before anything is embedded

    return _to_parquet


def _to_npz(ids: Sequence[str], paths: Sequence[str], vectors: Vector, facts: Mapping[str, str]) -> memoryview:
    """Arrays `id`, `image` and `vector` (B, D) float32, and one for each fact."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {"id": np.array(ids), "image": np.array(paths), "vector": vectors}
    arrays |= {name: np.array(value) for name, value in facts.items()}
    np.savez(file, **arrays)
    return file.getbuffer()


def _to_parquet(ids: Sequence[str], paths: Sequence[str], vectors: Vector, facts: Mapping[str, str]) -> memoryview:
    """Columns `id`, `image` and `vector`, a list of D float32; the facts are the schema's metadata."""
    import pyarrow as pa  # noqa: PLC0415 - an extra of its own
    from pyarrow import parquet  # noqa: PLC0415

    numbers = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = pa.table({"id": pa.array(ids), "image": pa.array(paths), "vector": numbers})
    sink = pa.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(dict(facts)), sink)
    return memoryview(sink.getvalue())
