"""The answers of the service. Fields that a newer service adds are ignored."""

import base64

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong, after RFC 9457.

    Attributes:
        type: which kind of problem, such as `urn:solemate:unknown-item`; `about:blank` where the status says it all.
        title: that kind in words.
        status: of the answer.
        detail: what was wrong with this request, and what is expected.
        field: the parameter at fault, where it is one.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None


class Item(BaseModel):
    """A shoe of the catalogue; `image`, `reconstruction` and `similar` are paths of the service."""

    id: str
    attributes: dict[str, list[str]]
    image: str
    reconstruction: str
    similar: str


class Hit(Item):
    """A shoe found by a search.

    Attributes:
        distance: Euclidean, between mean vectors or their slices; 0 is identical.
        score: how near that is, in [0, 1]; falls with the distance. None from a service that has none.
        duplicates: with `group="duplicates"`: ids of the shoes folded into this one.
    """

    distance: float
    score: float | None = None
    duplicates: list[str] | None = None


class FacetValue(BaseModel):
    """A value of an attribute, and how many shoes have it."""

    value: str
    count: int


class Subject(BaseModel):
    """What of a picture was taken for the shoe.

    Attributes:
        box: left, top, width and height, in fractions of the picture; can be sent as `crop`.
        coverage: the share of the picture that it covers.
        confidence: how sure its outline is, 0 to 1.
        others: further shoes in the picture.
    """

    box: tuple[float, float, float, float]
    coverage: float
    confidence: float
    others: int


class Answer(BaseModel):
    """What an answer was made from: first digits of the checkpoint's digest, and the catalogue's fingerprint."""

    checkpoint: str
    catalog: str


class SearchAnswer(Answer):
    """The nearest shoes; `next` is the cursor of the next page."""

    hits: list[Hit]
    next: str | None
    condition: str
    k: int
    facets: dict[str, list[FacetValue]] | None = None
    total: int | None = None
    subject: Subject | None = None
    confidence: float | None = None


class Embedding(BaseModel):
    """One picture's mean vector."""

    filename: str
    vector: list[float]
    subject: Subject | None
    confidence: float | None


class EmbeddingsAnswer(Answer):
    """A mean vector for each picture, in their order."""

    embeddings: list[Embedding]
    dimension: int


class SubjectAnswer(BaseModel):
    """What of a picture is taken for the shoe, cut out."""

    subject: Subject | None
    cutout: str
    checkpoint: str

    @property
    def cutout_png(self) -> bytes:
        """The cut-out as a PNG file."""
        return _decode(self.cutout)


class ItemAnswer(Item, Answer):
    """A shoe with its vector."""

    vector: list[float]


class ItemsAnswer(Answer):
    """A page of the catalogue; `total` counts the shoes of all pages; `missing`: ids that were asked for in vain."""

    items: list[Item]
    next: str | None
    total: int
    missing: list[str] | None = None


class Range(BaseModel):
    """The least and the largest value of an attribute, as the catalogue writes them."""

    min: str
    max: str


class FacetsAnswer(Answer):
    """How the shoes that pass a filter divide, and how far their numbers and dates reach."""

    facets: dict[str, list[FacetValue]]
    total: int
    ranges: dict[str, Range] | None = None


class SliceDistance(BaseModel):
    """How far apart two shoes are in one slice; `share` of the squared distance, which sum to 1."""

    name: str
    distance: float
    share: float


class Agreement(BaseModel):
    """What two shoes have of one attribute, and whether they share a value."""

    name: str
    values: list[str]
    with_values: list[str]
    agree: bool


class ExplainAnswer(Answer):
    """Why two shoes are alike."""

    item: Item
    other: Item = Field(alias="with")
    distance: float
    score: float
    conditions: list[SliceDistance]
    attributes: list[Agreement]


class Illustration(BaseModel):
    """What a vector decodes to, and the shoe that is nearest to it."""

    image: str
    nearest: Hit | None

    @property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        return _decode(self.image)


class Step(Illustration):
    """A step of an interpolation; `position` 0 is the first shoe, 1 the second."""

    position: float


class InterpolationAnswer(Answer):
    """The way from one shoe to another, both ends included."""

    steps: list[Step]


class SwapAnswer(Answer):
    """A shoe before and after it got the slice of another."""

    before: Illustration
    after: Illustration


class SamplesAnswer(Answer):
    """Shoes that could be; `seed` gives the same ones again."""

    samples: list[Illustration]
    seed: int


class BatchSearchAnswer(BaseModel):
    """What came of several searches, in their order: an answer, or the problem that one has alone."""

    results: list[SearchAnswer | Problem]


class MapAnswer(Answer):
    """The map of the catalogue: its tiles, the attributes that can colour it, and pixels a side of a thumbnail."""

    method: str
    items: int
    tile_items: int
    tiles: int
    attributes: list[str]
    thumbnail: int
    stale: bool


class MapTile(BaseModel):
    """The shoes of a tile: ids, places from 0 to 65535, and for each attribute the index of the value in `legend`."""

    ids: list[str]
    x: list[int]
    y: list[int]
    values: dict[str, list[int]]
    legend: dict[str, list[str]]


class BatchLine(BaseModel):
    """What came of one shoe of a batch: the shoe, or a problem."""

    index: int
    id: str | None
    status: int
    item: Item | None = None
    problem: Problem | None = None


class CheckpointFacts(BaseModel):
    """The network that makes the vectors.

    `subjects`: whether it finds the shoe in a photo; `runtime`: what runs it, onnx or torch.
    """

    digest: str
    image_size: int
    channels: int
    latent_size: int
    subjects: bool
    runtime: str


class CatalogFacts(BaseModel):
    """The catalogue that is searched; `recall` of an approximate index, as it was measured."""

    fingerprint: str
    count: int
    index: str
    recall: float | None


class Limits(BaseModel):
    """What a request may ask for."""

    max_k: int
    max_depth: int
    max_upload_bytes: int
    max_body_bytes: int
    max_pixels: int
    max_images: int
    formats: list[str]


class Info(BaseModel):
    """What is being served."""

    name: str
    version: str
    checkpoint: CheckpointFacts
    catalog: CatalogFacts
    conditions: list[str]
    slices: dict[str, tuple[int, int]]
    attributes: list[str]
    attribute_types: dict[str, str] | None = None
    duplicate_distance: float | None
    limits: Limits


class Epoch(BaseModel):
    """The figures of an epoch of the training."""

    epoch: int
    training: dict[str, float | None]
    validation: dict[str, float | None]


class EvaluationRow(BaseModel):
    """How well a part of the vector finds shoes of the same attribute."""

    slice: str
    attribute: str
    triplet_accuracy: float | None
    recall: dict[str, float]


class Evaluation(BaseModel):
    """What `solemate evaluate` measured."""

    shoes: int
    rows: list[EvaluationRow]


class CheckpointRecord(BaseModel):
    """What the checkpoint's folder tells of its training; what is not there is None or empty."""

    checkpoint: str
    card: str | None
    history: list[Epoch]
    evaluation: Evaluation | None


class WorkerReload(BaseModel):
    """How a reload went in one of the service's processes."""

    worker: int
    pid: int
    checkpoint: str
    catalog: str
    shoes: int
    seconds: float


class ReloadAnswer(BaseModel):
    """What is served from now on, by each process."""

    workers: list[WorkerReload]


class Status(BaseModel):
    """How the service is."""

    status: str


def _decode(url: str) -> bytes:
    """The content of a data: URL."""
    return base64.b64decode(url.partition(",")[2])
