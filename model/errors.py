"""Every error that solemate raises on purpose, in one hierarchy.

    SolemateError
    ├── ImageError                one picture can't be used
    │   ├── UnsupportedImage          not an image, or not of an allowed format
    │   ├── CorruptImage              an allowed format, but empty, truncated or broken
    │   └── ImageTooLarge             too many bytes or pixels
    ├── QueryError                a caller's value is out of range; names the field
    ├── CatalogueChanged          a search's next page was asked for, and the catalogue is another than at the first
    ├── UnknownItem               no shoe of that id in the catalogue
    ├── ItemExists                a shoe of that id is in the catalogue, and was not to be replaced
    ├── PictureMissing            the shoe is there, its picture's file is not
    ├── NotReady                  the service is up but can't answer as it should
    ├── Overloaded                more is asked of the service than it can do now; says when to try again
    │   ├── DeadlineExceeded          the request waited longer than it may
    │   ├── StoreBusy                 somebody else is changing the catalogue, and does not come to an end
    │   ├── StoreUnavailable          the database that keeps the catalogue does not answer
    │   └── Interrupted               what was at work on the request broke down; asking again may well succeed
    ├── AddressTaken              the service can't listen where it was told to
    ├── KeysUnusable              the service's API keys can't be read, or are none
    ├── CatalogError              a catalogue can't be read, or too much of it is bad
    ├── ArtifactError             a checkpoint or an indexed catalogue can't be used
    │   ├── ArtifactMissing           it is not there
    │   ├── ArtifactCorrupt           it fails its check: truncated, tampered with, of an unknown version
    │   ├── ArtifactMismatch          two artifacts that do not belong together
    │   ├── StorageFull               there is no room on the disk for a change
    │   └── StorageReadOnly           a change may not be written
    └── TrainingError             training can't start or go on

Messages are written for the person who can mend the cause: what was wrong, with the value, and what is expected.
Only the messages of `ImageError`, `QueryError`, `CatalogueChanged`, `UnknownItem`, `ItemExists`, `PictureMissing` and
`Overloaded` are meant for the service's clients; the others name paths of the machine and stay in its log.
"""

__all__ = [
    "AddressTaken",
    "ArtifactCorrupt",
    "ArtifactError",
    "ArtifactMismatch",
    "ArtifactMissing",
    "CatalogError",
    "CatalogueChanged",
    "CorruptImage",
    "DeadlineExceeded",
    "ImageError",
    "ImageTooLarge",
    "Interrupted",
    "ItemExists",
    "KeysUnusable",
    "NotReady",
    "Overloaded",
    "PictureMissing",
    "QueryError",
    "SolemateError",
    "StorageFull",
    "StorageReadOnly",
    "StoreBusy",
    "StoreUnavailable",
    "TrainingError",
    "UnknownItem",
    "UnsupportedImage",
]


class SolemateError(Exception):
    """The root: catch it to catch everything that solemate raises on purpose."""


class ImageError(SolemateError):
    """One picture can't be used."""


class UnsupportedImage(ImageError):
    """The bytes are not an image, or not one of an allowed format."""


class CorruptImage(ImageError):
    """The bytes claim an allowed format but are empty, truncated or broken."""


class ImageTooLarge(ImageError):
    """The picture has more bytes or more pixels than are allowed."""


class QueryError(SolemateError):
    """A caller's value is out of range.

    Attributes:
        field: the name of the parameter at fault, as the caller spells it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class CatalogueChanged(SolemateError):
    """The catalogue is not the one any more that a search's pages before were taken from."""

    def __init__(self) -> None:
        super().__init__(
            "the catalogue has changed since the page that this cursor came with; leave the cursor out to search anew"
        )


class UnknownItem(SolemateError):
    """No shoe of that id is in the catalogue."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"no shoe with id {item_id!r} in the catalogue")
        self.item_id = item_id


class ItemExists(SolemateError):
    """A shoe of that id is in the catalogue, and the caller said not to replace it."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"a shoe with id {item_id!r} is in the catalogue already; it was not replaced")
        self.item_id = item_id


class PictureMissing(SolemateError):
    """A shoe is in the catalogue, but its picture's file is not where it was indexed."""

    def __init__(self, item_id: str) -> None:
        super().__init__(
            f"the picture of shoe {item_id!r} is not on the server any more; its entry in the catalogue still is"
        )
        self.item_id = item_id


class NotReady(SolemateError):
    """The service is up but can't answer as it should; the message stays in the log."""


class Overloaded(SolemateError):
    """More is asked of the service than it can do now.

    Attributes:
        retry_after: seconds after which it is worth asking again, at least 1.
    """

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class DeadlineExceeded(Overloaded):
    """A request waited longer for its turn than it may."""


class Interrupted(Overloaded):
    """What was at work on a request broke down. Asking again may well succeed: it is mended by itself."""


class StoreBusy(Overloaded):
    """Somebody else is changing the catalogue and has not come to an end in time. Nothing of the change was stored."""


class StoreUnavailable(Overloaded):
    """The database that keeps the catalogue does not answer, or is about to finish a change that was cut short."""


class AddressTaken(SolemateError):
    """The address can't be listened on."""


class KeysUnusable(SolemateError):
    """The API keys can't be read, or one of them is none. The message never holds a key."""


class CatalogError(SolemateError):
    """A catalogue can't be read, or too large a share of its rows is bad."""


class ArtifactError(SolemateError):
    """A checkpoint or an indexed catalogue can't be used."""


class ArtifactMissing(ArtifactError):
    """The artifact is not there; the message says which command makes it."""


class ArtifactCorrupt(ArtifactError):
    """The artifact fails its check: truncated, tampered with, or of an unknown format version."""


class ArtifactMismatch(ArtifactError):
    """Two artifacts do not belong together, such as a catalogue indexed by another checkpoint."""


class StorageFull(ArtifactError):
    """There is no room on the disk for a change; nothing of it was stored."""


class StorageReadOnly(ArtifactError):
    """The disk or the folder of a change is read-only, or another user's; nothing of it was stored."""


class TrainingError(SolemateError):
    """Training can't start or can't go on."""
