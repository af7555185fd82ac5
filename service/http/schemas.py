"""The bodies of requests and answers: pydantic at the boundary, nowhere else."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from model.errors import QueryError
from model.text import MAX_ECHO, nfc
from service.catalog.attributes import MAX_ATTRIBUTES, MAX_VALUES
from service.http.problems import Problem
from service.search.options import MAX_EXCLUDED, MAX_FIELDS
from service.serving.engine import MAX_PAGE
from service.serving.recommendation import MAX_EXAMPLES
from service.settings import MOST_IMAGES
from service.store.filters import MAX_IDS, MAX_TERMS

FILTER_TEXT = (
    "`Attribute:Value`, repeated: values of one attribute are alternatives, attributes are all required; `/v1/facets` "
    "lists both. `price:>=20`, `price:<80` and `price:20..80` compare numbers, and dates such as `2020-01-31`; "
    '`-Brand:Ana` leaves out. Or JSON: `{"any": ["Gender:Women", {"all": [...]}, {"not": [...]}]}`, nested, with '
    f'`{{"ids": ["7000100.150"]}}` for shoes by their ids, at most {MAX_IDS:,} in a filter; one that no shoe has finds '
    "nothing."
)
FILTER_IN_JSON_TEXT = (
    'A list of such texts, of objects such as {"attribute": "Brand", "values": ["Ana"]}, {"attribute": "price", '
    '"min": 20, "max": 80} and {"ids": ["7000100.150"]}, and of {"all": [...]}, {"any": [...]} and {"not": [...]} of '
    "all these; or one such object."
)
IGNORE_CASE_TEXT = "Whether values of the filter are meant in whatever case: `brand:ANA` no, `Brand:ANA` yes."
K_TEXT = "How many shoes."
LIMIT_TEXT = "The same as `k`, by the name that other services have for it."
CONDITION_TEXT = (
    "What to compare by: `overall`, the default, another condition of `/v1/info`, or several slices with a weight "
    "each, such as `heel:0.7,category:0.3`: the distance is then the root of the weighted sum of their squares."
)
EXCLUDE_TEXT = f"The id of a shoe to leave out; repeated for several, at most {MAX_EXCLUDED}."
CURSOR_TEXT = (
    "`next` of the page before, with the same query and options (but for `k`, `facets` and `fields`). If the catalogue "
    "has changed in between, the answer is 409: leave it out to search anew. `/v1/info` has how deep a search goes."
)
MAX_DISTANCE_TEXT = "Only shoes that are at most so far."
GROUP_TEXT = (
    "`duplicates`: fold near-duplicates into the nearest of them, so that `k` counts groups. Near-duplicates are at "
    "most `duplicate_distance` of `/v1/info` apart, by whole vectors whatever `condition` says."
)
DUPLICATE_DISTANCE_TEXT = "Another distance of near-duplicates, with `group=duplicates`."
DIVERSITY_TEXT = (
    "0, the default, to 1: choose the shoes one after another, each near what is searched for and, the more the larger "
    "this is, far from those before it (maximal marginal relevance, among the 200 nearest; those beyond follow by "
    "distance)."
)
CROP_TEXT = (
    "The part of the picture to look at: `left,top,width,height` in fractions of its width and height, 0 to 1, when it "
    "is upright; at least 8 pixels a side. Of several pictures, of each of them."
)
ROTATE_TEXT = "Degrees to turn that by, counter-clockwise."
SUBJECT_TEXT = (
    "`auto`, the default: the shoe is looked for in what is left. `whole`: what is left is the shoe, to its edges."
)
LIMIT_OF_PAGE_TEXT = "Shoes on a page."
CURSOR_OF_PAGE_TEXT = "`next` of the page before; left out for the first."
FACETS_TEXT = "Count how the shoes divide that pass the filter, as `/v1/facets` does."

FIELDS_TEXT = (
    "The name of an attribute that the shoes of the answer are to carry, repeated for several; the others are left out "
    "of `attributes`. Without it, all of them."
)

MAX_TEXT = 1000
"""Characters of a name that a request gives."""

Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(nfc)]
"""A name that a request gives: it is compared in Unicode's normal form C, in which the catalogue has all names."""

# Validation runs on the event loop, and a megabyte has room for some 300,000 wrong values. So lists are bounded, and
# of each only the first fault is told.

MAX_DIMENSION = 4096
"""Numbers of a vector."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Amount = Annotated[float, Field(allow_inf_nan=False)]
Numbers = Annotated[list[Number], Field(max_length=MAX_DIMENSION, fail_fast=True)]
Examples = Annotated[list[Text | Numbers], Field(max_length=MAX_EXAMPLES, fail_fast=True)]
Values = Annotated[list[str], Field(max_length=MAX_VALUES, fail_fast=True)]

MAX_ROTATION = 180
"""Largest rotation of a picture, in degrees, either way."""

# Bounds that the description states. Who reads the options, and the engine, check them with messages of their own.
FROM_ZERO = Field(json_schema_extra={"minimum": 0})
SHARE = Field(json_schema_extra={"minimum": 0, "maximum": 1})
TURN = Field(json_schema_extra={"minimum": -MAX_ROTATION, "maximum": MAX_ROTATION})
FourNumbers = Annotated[list[Number], Field(max_length=4, fail_fast=True, json_schema_extra={"minItems": 4})]
Crop = Annotated[str | list[float] | None, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})]
"""A text; only JSON, which has a schema of its own, may have a list in its place."""
FilterTerms = Annotated[list[Any], Field(max_length=MAX_TERMS)]
FilterTexts = Annotated[
    FilterTerms | None,
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"type": "string"}, "maxItems": MAX_TERMS}, {"type": "null"}]}
    ),
]
"""Texts; only JSON, which has a schema of its own, may have objects among them."""
COUNT = Field(json_schema_extra={"minimum": 1})
PAGE_SIZE = Field(json_schema_extra={"minimum": 1, "maximum": MAX_PAGE})
Ids = Annotated[list[Text], Field(max_length=MAX_EXCLUDED, fail_fast=True)]
Names = Annotated[list[Text], Field(max_length=MAX_FIELDS, fail_fast=True)]

# What an answer was made from: equal fingerprints, equal answers. Fields of each answer rather than of a base class,
# which would put them before what was asked for.
CheckpointFingerprint = Annotated[str, Field(description="The first 16 hex digits of the checkpoint's digest.")]
CatalogFingerprint = Annotated[str, Field(description="The catalogue's fingerprint: changes with every change of it.")]


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
    score: float = Field(
        ge=0,
        le=1,
        description="How near that is: 1 at distance 0, falling with it, by how rare it is that two different shoes "
        "are this near. By whole vectors, 1 pair in 100 has a score of 0.4 or more, and 1 in 10 of 0.2 or more; by one "
        "condition, 1 in 100 of 0.75, and 1 in 4 of 0.25. Calibrated on validation shoes at the end of the training; "
        "where the checkpoint has no calibration, on shoes of the catalogue.",
    )
    duplicates: list[str] | None = Field(
        default=None,
        description="With `group=duplicates`: ids of the shoes folded into this one, the nearest to it first; at most "
        "100 of them.",
    )


class FacetValue(BaseModel):
    """A value of an attribute, and how many shoes have it."""

    value: str
    count: int


class Range(BaseModel):
    """The least and the largest value of an attribute, as the catalogue writes them."""

    min: str
    max: str


class Subject(BaseModel):
    """What of a picture was taken for the shoe."""

    box: list[float] = Field(
        min_length=4,
        max_length=4,
        description="Around it: left, top, width and height, in fractions of the picture as it was looked at, which is "
        "after `crop` and `rotate`.",
    )
    coverage: float = Field(description="The share of that picture that it covers.")
    confidence: float = Field(description="How sure its outline is, 0 to 1; 1 where a plain margin surrounds it.")
    others: int = Field(description="Further shoes in the picture, of at least a quarter of its size: try `crop`.")


SubjectField = Annotated[
    Subject | None,
    Field(
        description="What of the picture was taken for the shoe; null where all of it was: where none was found, with "
        "`subject=whole`, and where the checkpoint finds none (`checkpoint.subjects` of `/v1/info`)."
    ),
]


ConfidenceField = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        description="How likely the picture shows a shoe such as the catalogue could have, were half of all pictures "
        "such; null where the checkpoint can't tell.",
    ),
]


class SearchAnswer(BaseModel):
    """The nearest shoes, nearest first but where `diversity` orders them; fewer than `k` only where there are fewer."""

    hits: list[Hit]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
    condition: str
    k: int
    facets: dict[str, list[FacetValue]] | None = Field(default=None, description="With `facets`: as `/v1/facets`.")
    total: int | None = Field(default=None, description="With `facets`: the shoes that pass the filter.")
    subject: SubjectField = Field(default=None)
    confidence: ConfidenceField = Field(default=None)
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


# The forms are only described by these: service/http/multipart.py reads them.

File = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
"""Described as in OpenAPI 3.0, which client generators understand; most do not understand 3.1's `contentMediaType`."""


class PictureField(BaseModel):
    """The picture of a form."""

    image: File = Field(description="A picture of a shoe: JPEG, PNG, WebP, GIF, BMP or TIFF.")


class PicturesField(BaseModel):
    """The pictures of a form."""

    image: list[File] = Field(description="One picture, or several parts of this name.")


class SearchFields(BaseModel):
    """How to search: in a query string, a form or JSON, which `InJson` reads."""

    k: Annotated[int, COUNT] | None = Field(default=None, description=K_TEXT)
    condition: Text | None = Field(default=None, description=CONDITION_TEXT)
    filter: FilterTexts = Field(default=None, description=FILTER_TEXT)
    ignore_case: bool | None = Field(default=None, description=IGNORE_CASE_TEXT)
    exclude: Ids | None = Field(default=None, description=EXCLUDE_TEXT)
    cursor: str | None = Field(default=None, description=CURSOR_TEXT)
    max_distance: Annotated[Amount, FROM_ZERO] | None = Field(default=None, description=MAX_DISTANCE_TEXT)
    group: Literal["duplicates"] | None = Field(default=None, description=GROUP_TEXT)
    duplicate_distance: Annotated[Amount, FROM_ZERO] | None = Field(default=None, description=DUPLICATE_DISTANCE_TEXT)
    diversity: Annotated[Amount, SHARE] | None = Field(default=None, description=DIVERSITY_TEXT)
    facets: bool | None = Field(default=None, description=FACETS_TEXT)
    fields: Names | None = Field(default=None, description=FIELDS_TEXT)
    limit: Annotated[int, COUNT] | None = Field(default=None, description=LIMIT_TEXT)


class ViewFields(BaseModel):
    """Where the shoe is in a picture: in a query string, a form or JSON, which `InJson` reads."""

    crop: Crop = Field(default=None, description=CROP_TEXT)
    rotate: Annotated[Amount, TURN] | None = Field(default=None, description=ROTATE_TEXT)
    subject: Literal["auto", "whole"] | None = Field(default=None, description=SUBJECT_TEXT)


class PictureSearchFields(SearchFields, ViewFields):
    """How to search by a picture, and where in it the shoe is."""


class SearchForm(PictureField, PictureSearchFields):
    """A form with a picture, and how to search by it."""


class PictureForm(PictureField, ViewFields):
    """A form with a picture, and where the shoe is in it."""


class PicturesForm(PicturesField, ViewFields):
    """A form with pictures, and where the shoe is in each of them."""


class InJson(BaseModel):
    """How JSON is read: by its own types, where a form has texts, and without fields of other names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _require_few(cls, given: object) -> object:
        """Refuse many unknown fields by the first of them, where pydantic would describe each."""
        if isinstance(given, dict) and len(given) > len(cls.model_fields):
            unknown = str(next(name for name in given if name not in cls.model_fields))[:MAX_ECHO]
            known = ", ".join(cls.model_fields)
            raise QueryError(unknown, f"{len(given):,} fields, {unknown!r} among them; expected some of: {known}")
        return given


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


FilterInJson = Annotated[
    FilterTerms | None,
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "items": {"anyOf": [{"type": "string"}, {"type": "object"}]},
                    "maxItems": MAX_TERMS,
                },
                {"type": "object"},
                {"type": "null"},
            ]
        }
    ),
    Field(description=f"{FILTER_TEXT} {FILTER_IN_JSON_TEXT}"),
]


class SearchInJson(SearchFields, InJson):
    """How to search, in JSON."""

    filter: FilterInJson = None


class FacetsQuery(InJson):
    """Which shoes to count."""

    filter: FilterInJson = None
    ignore_case: bool = Field(default=False, description=IGNORE_CASE_TEXT)


class ItemsQuery(FacetsQuery):
    """Which shoes to list."""

    limit: Annotated[int, PAGE_SIZE] = Field(default=50, description=LIMIT_OF_PAGE_TEXT)
    cursor: str | None = Field(default=None, description=CURSOR_OF_PAGE_TEXT)


class VectorSearch(SearchInJson):
    """A search by a vector that `/v1/embeddings` or `/v1/items/{id}` gave, or one mixed from such."""

    vector: Numbers = Field(description="The whole vector, also where `condition` compares only a slice.")


class BatchQuery(SearchInJson):
    """One search of several: by a shoe of the catalogue, or by a vector."""

    item: Text | None = Field(default=None, description="The id of a shoe, which is left out of the answer.")
    vector: Numbers | None = Field(default=None, description="In place of it, a whole vector.")


class BatchSearch(InJson):
    """Several searches, each with options of its own."""

    queries: list[BatchQuery] = Field(max_length=MOST_IMAGES, fail_fast=True, json_schema_extra={"minItems": 1})


class BatchSearchForm(PicturesField, PictureSearchFields):
    """A form with a picture for each search, and options that all of them share."""


class BatchSearchAnswer(BaseModel):
    """What came of several searches, in their order."""

    results: list[SearchAnswer | Problem] = Field(description="For each its answer, or the problem that it has alone.")


class GivenVector(InJson):
    """A vector that `/v1/embeddings` or `/v1/items/{id}` gave, or one mixed from such."""

    vector: Numbers = Field(description="The whole vector.")


CropInJson = Annotated[str | FourNumbers | None, Field(description=f"{CROP_TEXT} Or a list of these numbers.")]

IN_JSON_TEXT = "A picture in base64, as a data: URL such as `data:image/jpeg;base64,...` or alone."


class ImageSearch(PictureSearchFields, InJson):
    """A search by a picture, in JSON."""

    crop: CropInJson = None
    filter: FilterInJson = None
    image: str = Field(description=IN_JSON_TEXT)


class ImagesInJson(ViewFields, InJson):
    """Pictures, in JSON."""

    crop: CropInJson = None
    image: str | Annotated[list[str], Field(max_length=MOST_IMAGES, fail_fast=True)] = Field(
        description=f"{IN_JSON_TEXT} Or a list of such."
    )


POSITIVE_TEXT = (
    "What shoes are to be like: ids of shoes of the catalogue, which are left out of the answer, or vectors."
)
NEGATIVE_TEXT = "What they are not to be like, likewise."


class Recommendation(SearchInJson):
    """A search by several examples."""

    positive: Examples = Field(default=[], description=POSITIVE_TEXT)
    negative: Examples = Field(default=[], description=NEGATIVE_TEXT)


class RecommendationForm(SearchFields):
    """A form with several examples; there is at least one positive one."""

    positive: list[str] | None = Field(
        default=None, description="The id of a shoe that shoes are to be like; repeated."
    )
    negative: list[str] | None = Field(
        default=None, description="The id of one that they are not to be like; repeated."
    )
    positive_vector: list[str] | None = Field(default=None, description="A vector, as a JSON array; repeated.")
    negative_vector: list[str] | None = Field(default=None, description="Likewise.")
    positive_image: list[File] | None = Field(default=None, description="A picture, or several parts of this name.")
    negative_image: list[File] | None = Field(default=None, description="Likewise.")


ID_TEXT = "At most 200 characters, without slashes; unique in the catalogue."
ATTRIBUTES_TEXT = (
    "Name -> list of values; at most 50 names of 100 characters without colons, each with at most 50 values of 200."
)
PATCH_TEXT = "Name -> its new values; null removes the attribute, others stay as they are."


def _require_few_names(given: object) -> object:
    if isinstance(given, dict) and len(given) > MAX_ATTRIBUTES:
        raise QueryError("attributes", f"{len(given):,} attributes; expected at most {MAX_ATTRIBUTES}")
    return given


# pydantic would check all values before it counts them.
FEW_NAMES = BeforeValidator(_require_few_names)
NAMES = {"maxProperties": MAX_ATTRIBUTES}
Attributes = Annotated[dict[str, Values], FEW_NAMES, Field(description=ATTRIBUTES_TEXT, json_schema_extra=NAMES)]
Changes = Annotated[dict[str, Values | None], FEW_NAMES, Field(description=PATCH_TEXT, json_schema_extra=NAMES)]


class ItemForm(PictureField):
    """A form with a shoe whose id is in the path."""

    attributes: str | None = Field(default=None, description=f"JSON. {ATTRIBUTES_TEXT}")


class NewItemForm(ItemForm):
    """A form with a new shoe."""

    id: str = Field(description=ID_TEXT)


class BatchForm(PicturesField):
    """A form with new shoes: for each of them, in the same order, an `item` and an `image`."""

    item: list[str] = Field(description='JSON, such as {"id": "boot-7", "attributes": {"Gender": ["Women"]}}.')


class NewItem(InJson):
    """A shoe of a batch: the JSON in one `item` field."""

    id: Text = Field(description=ID_TEXT)
    attributes: Attributes = {}


class ItemPatch(InJson):
    """A change of a shoe: a JSON merge patch (RFC 7396) of what the service shows of it."""

    attributes: Changes


class Embedding(BaseModel):
    """One picture's mean vector."""

    filename: str = Field(description="As it was sent.")
    vector: list[float] = Field(description="float32 numbers, exactly.")
    subject: SubjectField
    confidence: ConfidenceField


class EmbeddingsAnswer(BaseModel):
    """A mean vector for each picture, in the pictures' order."""

    embeddings: list[Embedding]
    dimension: int
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class SubjectAnswer(BaseModel):
    """What of a picture is taken for the shoe, cut out."""

    subject: SubjectField
    cutout: str = Field(
        description="A PNG as a data: URL: the subject's box in its own colours, transparent beside the shoe; where "
        "`subject` is null, all of the picture that was looked at. At most 800 pixels a side."
    )
    checkpoint: CheckpointFingerprint


class Illustration(BaseModel):
    """What a vector decodes to, and the shoe of the catalogue that is nearest to it."""

    image: str = Field(description="A PNG as a data: URL.")
    nearest: Hit | None = Field(description="By the whole vector, unless said otherwise; null where there is none.")


class Step(Illustration):
    """A step of an interpolation."""

    position: float = Field(ge=0, le=1, description="0 at the first shoe, 1 at the second.")


class InterpolationAnswer(BaseModel):
    """The way from one shoe to another, both ends included. Between them, `nearest` is neither of the two."""

    steps: list[Step]
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class SwapAnswer(BaseModel):
    """A shoe before and after it got the slice of another."""

    before: Illustration
    after: Illustration = Field(
        description="Its `nearest` is neither of the two shoes, and found with the exchanged slice counting as much as "
        "all others together."
    )
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class SamplesAnswer(BaseModel):
    """Shoes that could be."""

    samples: list[Illustration]
    seed: int = Field(description="Gives the same samples again, as long as the catalogue is the same.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class SliceDistance(BaseModel):
    """How far apart two shoes are in one slice of the vector."""

    name: str = Field(description="A condition of `/v1/info`, or a slice that no training ordered, such as `free`.")
    distance: float = Field(description="Euclidean, in this slice alone.")
    share: float = Field(description="The part of the squared distance that it makes: the shares sum to 1.")


class Agreement(BaseModel):
    """What two shoes have of one attribute."""

    name: str
    values: list[str] = Field(description="Of the shoe in the path.")
    with_values: list[str] = Field(description="Of the other one.")
    agree: bool = Field(description="Whether they share a value.")


class ExplainAnswer(BaseModel):
    """Why two shoes are alike."""

    item: Item
    with_: Item = Field(alias="with")
    distance: float = Field(description="By the whole vector.")
    score: float = Field(ge=0, le=1, description="As of a hit of a search by `overall`.")
    conditions: list[SliceDistance]
    attributes: list[Agreement] = Field(description="All that one of them has.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class ItemAnswer(Item):
    """A shoe of the catalogue with its vector."""

    vector: list[float] = Field(description="float32 numbers, exactly.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class ItemsAnswer(BaseModel):
    """A page of the catalogue, in its own order."""

    items: list[Item]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
    total: int = Field(description="Shoes that pass the filter, on all pages.")
    missing: list[str] = Field(default=[], description="With `ids`: those that no shoe has.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class FacetsAnswer(BaseModel):
    """How the shoes that pass the filter divide, most frequent values first."""

    facets: dict[str, list[FacetValue]]
    total: int = Field(description="Shoes that pass the filter.")
    ranges: dict[str, Range] = Field(
        description="Attribute whose values are numbers or dates -> how far they reach. If they are more than 100, "
        "`facets` does not list them."
    )
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class BatchLine(BaseModel):
    """What came of one shoe of a batch: a line of JSON in the answer."""

    index: int = Field(description="Its place in the batch, from 0.")
    id: str | None = Field(description="As it was sent; null where it could not be read.")
    status: int = Field(description="What the request would have answered with this shoe alone.")
    item: Item | None = Field(default=None, description="The shoe, where it was written: durably.")
    problem: Problem | None = Field(default=None, description="What was wrong, where it was not.")


class CheckpointFacts(BaseModel):
    """The network that makes the vectors."""

    digest: str
    image_size: int = Field(description="The network sees a square of this many pixels a side.")
    channels: int
    latent_size: int = Field(description="Numbers in a vector.")
    subjects: bool = Field(
        description="Whether it finds the shoe in a photo that has no plain margin. Otherwise such a photo is taken as "
        "a whole, or as `crop` says."
    )
    runtime: Literal["onnx", "torch"] = Field(description="What runs it.")


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
    max_depth: int = Field(description="Shoes of one search, on all its pages.")
    max_upload_bytes: int = Field(description="Bytes of one picture.")
    max_body_bytes: int = Field(description="Bytes of all pictures of one request.")
    max_pixels: int = Field(
        description="Width times height of one picture, as it is decoded: a JPEG is decoded at down to 1/8 of both, "
        "and a WebP or AVIF may have half as many."
    )
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
    attribute_types: dict[str, Literal["text", "number", "date", "flag", "display"]] = Field(
        description="Attribute -> the kind of its values, as declared at indexing or else as they look; what is only "
        "for `display` can't be filtered by."
    )
    duplicate_distance: float | None = Field(
        description="The largest distance of near-duplicates; null where it was not measured, and `group=duplicates` "
        "needs a `duplicate_distance`."
    )
    limits: Limits


class Epoch(BaseModel):
    """The figures of an epoch of the training."""

    epoch: int
    training: dict[str, float | None] = Field(description="Means over the epoch's batches.")
    validation: dict[str, float | None] = Field(description="Of the held-out shoes.")


class EvaluationRow(BaseModel):
    """How well a part of the vector finds shoes of the same attribute."""

    slice: str
    attribute: str
    triplet_accuracy: float | None = Field(default=None, description="Share of triplets in the right order.")
    recall: dict[str, float | None] = Field(
        default={}, description="k -> share of shoes with one of the same value among the k nearest."
    )


class Evaluation(BaseModel):
    """What `solemate evaluate` measured."""

    shoes: int = Field(description="That were measured.")
    rows: list[EvaluationRow]


class CheckpointRecord(BaseModel):
    """What the checkpoint's folder tells of its training; what is not there is null or empty."""

    checkpoint: str = Field(description="SHA-256 of the checkpoint, hex.")
    card: str | None = Field(default=None, description="The model card, in Markdown.")
    history: list[Epoch] = Field(default=[], description="The epochs of the training.")
    evaluation: Evaluation | None = None


class WorkerReload(BaseModel):
    """How a reload went in one of the service's processes."""

    worker: int = Field(description="Its number, from 0.")
    pid: int = Field(description="Of its process.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint
    shoes: int = Field(description="In the catalogue.")
    seconds: float = Field(description="How long opening and checking took.")


class MapAnswer(BaseModel):
    """The map of the catalogue."""

    method: Literal["opentsne", "pca"] = Field(description="t-SNE, or the two principal components.")
    items: int = Field(description="Shoes on it.")
    tile_items: int = Field(description="Shoes of one tile, but for the last.")
    tiles: int
    attributes: list[str] = Field(description="What the shoes can be coloured by.")
    thumbnail: int = Field(description="Pixels a side of a picture in an atlas, which has 64 of them in a row.")
    stale: bool = Field(description="Whether the catalogue has changed since the map was drawn.")
    checkpoint: CheckpointFingerprint
    catalog: CatalogFingerprint


class MapTile(BaseModel):
    """A part of the map's shoes: lists of the same length."""

    ids: list[str]
    x: list[int] = Field(description="0 to 65535, in the same proportions as `y`.")
    y: list[int]
    values: dict[str, list[int]] = Field(description="Attribute -> places in its legend; -1 for none of these values.")
    legend: dict[str, list[str]] = Field(description="Attribute -> values, the most frequent first; of all tiles.")


class ReloadAnswer(BaseModel):
    """What is served from now on, by each of the service's processes."""

    workers: list[WorkerReload]


class Status(BaseModel):
    """How the service is."""

    status: str
