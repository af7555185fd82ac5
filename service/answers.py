"""From what the engine returns to what the schemas say."""

import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from service import schemas
from service.engine import Engine, Facets
from service.parameters import SearchOptions
from service.settings import Settings
from service.store.base import Hit, Item, Page

__all__ = [
    "answer_embeddings",
    "answer_facets",
    "answer_hits",
    "answer_info",
    "answer_item",
    "answer_page",
    "find_version",
]


def answer_hits(engine: Engine, hits: Sequence[Hit], options: SearchOptions) -> schemas.SearchAnswer:
    """A search's answer."""
    found = [schemas.Hit(**_item(hit.item).model_dump(), distance=hit.distance) for hit in hits]
    return schemas.SearchAnswer(
        hits=found,
        condition=options.condition,
        k=options.k,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_embeddings(engine: Engine, names: Sequence[str], vectors: NDArray[np.float32]) -> schemas.EmbeddingsAnswer:
    """The vectors of pictures."""
    embeddings = [
        schemas.Embedding(filename=name, vector=vector.tolist()) for name, vector in zip(names, vectors, strict=True)
    ]
    return schemas.EmbeddingsAnswer(
        embeddings=embeddings,
        dimension=engine.embedder.dimension,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_item(engine: Engine, item: Item, vector: NDArray[np.float32]) -> schemas.ItemAnswer:
    """One shoe."""
    return schemas.ItemAnswer(
        **_item(item).model_dump(),
        vector=vector.tolist(),
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_page(engine: Engine, page: Page) -> schemas.ItemsAnswer:
    """Some shoes."""
    return schemas.ItemsAnswer(
        items=[_item(item) for item in page.items],
        next=page.next,
        total=page.total,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_facets(engine: Engine, facets: Facets) -> schemas.FacetsAnswer:
    """How the shoes divide."""
    return schemas.FacetsAnswer(
        facets={
            attribute: [schemas.FacetValue(value=value, count=count) for value, count in values.items()]
            for attribute, values in facets.counts.items()
        },
        total=facets.total,
        checkpoint=engine.checkpoint,
        catalog=engine.fingerprint,
    )


def answer_info(engine: Engine, settings: Settings) -> schemas.Info:
    """What is being served."""
    catalogue = engine.catalogue()
    preprocessor = engine.embedder.preprocessor
    return schemas.Info(
        name="solemate",
        version=find_version(),
        checkpoint=schemas.CheckpointFacts(
            digest=engine.network.digest,
            image_size=preprocessor.config.size,
            channels=preprocessor.config.channels,
            latent_size=engine.embedder.dimension,
        ),
        catalog=schemas.CatalogFacts(fingerprint=catalogue.info.fingerprint, count=catalogue.info.count),
        conditions=list(engine.conditions),
        slices=dict(catalogue.info.slices),
        attributes=list(catalogue.attributes),
        limits=schemas.Limits(
            max_k=engine.limits.max_k,
            max_upload_bytes=settings.max_upload_bytes,
            max_body_bytes=settings.max_body_bytes,
            max_pixels=settings.max_pixels,
            max_images=engine.limits.max_images,
            formats=list(preprocessor.limits.formats),
        ),
    )


def find_version() -> str:
    """The version of solemate that is installed; in a tree that was not installed, the tree's."""
    try:
        return version("solemate")
    except PackageNotFoundError:
        pass
    try:
        project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
    except (OSError, LookupError):
        return "unknown"


def _item(item: Item) -> schemas.Item:
    path = f"/v1/items/{quote(item.id, safe='')}"
    return schemas.Item(
        id=item.id,
        attributes={attribute: list(values) for attribute, values in item.attributes.items()},
        image=f"{path}/image",
        reconstruction=f"{path}/reconstruction",
        similar=f"{path}/similar",
    )
