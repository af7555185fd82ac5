"""The bodies of requests and answers: pydantic at the boundary, nowhere else."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

__all__ = [
    "CatalogFacts",
    "CheckpointFacts",
    "Embedding",
    "EmbeddingsAnswer",
    "FacetValue",
    "FacetsAnswer",
    "Hit",
    "Info",
    "Item",
    "ItemAnswer",
    "ItemsAnswer",
    "Limits",
    "PictureForm",
    "PicturesForm",
    "Problem",
    "ReloadAnswer",
    "SearchAnswer",
    "SearchForm",
    "Status",
    "VectorSearch",
    "WorkerReload",
]

FILTER_TEXT = (
    "`Attribute:Value`, repeated: values of one attribute are alternatives, attributes are all required. "
    "`/v1/facets` lists both."
)
K_TEXT = "How many shoes, at least 1; `/v1/info` has the maximum. Default: 10."
CONDITION_TEXT = "What to compare by; `/v1/info` lists the conditions. Default: overall."

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

# What an answer was made from: equal fingerprints, equal answers. Fields of each answer rather than of a base class,
# which would put them before what was asked for.
CheckpointPrint = Annotated[str, Field(description="The first 16 hex digits of the checkpoint's digest.")]
CatalogPrint = Annotated[str, Field(description="The catalogue's fingerprint: changes with every change of it.")]


class Problem(BaseModel):
    """What went wrong, after RFC 9457."""

    type: str = Field(description="Which kind of problem; `about:blank` where the status says it all.")
    title: str = Field(description="The kind of problem in words; the same for all problems of one type.")
    status: int = Field(description="The answer's status.")
    detail: str = Field(description="What was wrong with this request, and what is expected.")
    field: str | None = Field(default=None, description="The parameter at fault, where it is one.")


class Item(BaseModel):
    """A shoe of the catalogue."""

    id: str
    attributes: dict[str, list[str]] = Field(description="Attribute -> its values; attributes without one are absent.")
    image: str = Field(description="Where its picture is.")
    reconstruction: str = Field(description="Where the picture that its vector decodes to is.")
    similar: str = Field(description="Where the shoes like it are.")


class Hit(Item):
    """A shoe found by a search."""

    distance: float = Field(description="Euclidean, between mean vectors or their slices; 0 is identical.")


class SearchAnswer(BaseModel):
    """The nearest shoes, nearest first; fewer than `k` where fewer pass the filter."""

    hits: list[Hit]
    condition: str
    k: int
    checkpoint: CheckpointPrint
    catalog: CatalogPrint


# The forms are only described by these: service/forms.py reads them.

File = Annotated[bytes, WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})]


class PictureForm(BaseModel):
    """A form with a picture."""

    image: File = Field(description="A picture of a shoe: JPEG, PNG, WebP, GIF, BMP or TIFF.")


class PicturesForm(BaseModel):
    """A form with pictures."""

    image: list[File] = Field(description="One picture, or several parts of this name.")


class SearchForm(PictureForm):
    """A form with a picture, and how to search by it."""

    k: int | None = Field(default=None, description=K_TEXT)
    condition: str | None = Field(default=None, description=CONDITION_TEXT)
    filter: list[str] | None = Field(default=None, description=FILTER_TEXT)


class VectorSearch(BaseModel):
    """A search by a vector that `/v1/embeddings` or `/v1/items/{id}` gave, or one mixed from such."""

    model_config = ConfigDict(extra="forbid")

    vector: list[Number] = Field(description="The whole vector, also where `condition` compares only a slice.")
    k: int = Field(default=10, strict=True, description="How many shoes; at least 1.")
    condition: str = Field(default="overall", description="What to compare by; `/v1/info` lists the conditions.")
    filter: list[str] = Field(default=[], description="`Attribute:Value`, each.")


class Embedding(BaseModel):
    """One picture's mean vector."""

    filename: str = Field(description="As it was sent.")
    vector: list[float] = Field(description="float32 numbers, exactly.")


class EmbeddingsAnswer(BaseModel):
    """A mean vector for each picture, in the pictures' order."""

    embeddings: list[Embedding]
    dimension: int
    checkpoint: CheckpointPrint
    catalog: CatalogPrint


class ItemAnswer(Item):
    """A shoe of the catalogue with its vector."""

    vector: list[float] = Field(description="float32 numbers, exactly.")
    checkpoint: CheckpointPrint
    catalog: CatalogPrint


class ItemsAnswer(BaseModel):
    """A page of the catalogue, in its own order."""

    items: list[Item]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
    total: int = Field(description="Shoes that pass the filter, on all pages.")
    checkpoint: CheckpointPrint
    catalog: CatalogPrint


class FacetValue(BaseModel):
    """A value of an attribute, and how many shoes have it."""

    value: str
    count: int


class FacetsAnswer(BaseModel):
    """How the shoes that pass the filter divide, most frequent values first."""

    facets: dict[str, list[FacetValue]]
    total: int = Field(description="Shoes that pass the filter.")
    checkpoint: CheckpointPrint
    catalog: CatalogPrint


class CheckpointFacts(BaseModel):
    """The network that makes the vectors."""

    digest: str
    image_size: int = Field(description="Pictures are padded to a square and resized to this many pixels a side.")
    channels: int
    latent_size: int = Field(description="Numbers in a vector.")


class CatalogFacts(BaseModel):
    """The catalogue that is searched."""

    fingerprint: str
    count: int
    index: Literal["exact", "approximate"] = Field(
        description="Whether a search by the whole vector looks at every shoe, or finds nearly all of the nearest."
    )
    recall: float | None = Field(
        description="The share of the ten nearest shoes that it then finds, measured when the index was built."
    )


class Limits(BaseModel):
    """What a request may ask for."""

    max_k: int = Field(description="Shoes in one answer.")
    max_upload_bytes: int = Field(description="Bytes of one picture.")
    max_body_bytes: int = Field(description="Bytes of all pictures of one request.")
    max_pixels: int = Field(description="Width times height of one picture.")
    max_images: int = Field(description="Pictures of one request for embeddings.")
    formats: list[str]


class Info(BaseModel):
    """What is being served."""

    name: str
    version: str
    checkpoint: CheckpointFacts
    catalog: CatalogFacts
    conditions: list[str] = Field(description="What a search can compare by; the first is the default.")
    slices: dict[str, tuple[int, int]] = Field(description="Slice -> where it starts and stops in a vector.")
    attributes: list[str] = Field(description="What can be filtered by.")
    limits: Limits


class WorkerReload(BaseModel):
    """How a reload went in one of the service's processes."""

    worker: int = Field(description="Its number, from 0.")
    pid: int = Field(description="Of its process.")
    checkpoint: CheckpointPrint
    catalog: CatalogPrint
    shoes: int = Field(description="In the catalogue.")
    seconds: float = Field(description="How long opening and checking took.")


class ReloadAnswer(BaseModel):
    """What is served from now on, by each of the service's processes."""

    workers: list[WorkerReload]


class Status(BaseModel):
    """How the service is."""

    status: str
