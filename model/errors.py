"""The errors that the model and both of its sides raise on purpose; `service.errors` adds those of the service.

    SolemateError
    ├── ImageError                one picture can't be used
    │   ├── UnsupportedImage          not an image, or not of an allowed format
    │   ├── CorruptImage              an allowed format, but empty, truncated or broken
    │   └── ImageTooLarge             too many bytes or pixels
    ├── QueryError                a caller's value is out of range; names the field
    ├── CatalogError              a catalogue can't be read, or too much of it is bad
    ├── ArtifactError             a checkpoint or an indexed catalogue can't be used
    │   ├── ArtifactMissing           it is not there
    │   ├── ArtifactCorrupt           it fails its check: truncated, tampered with, of an unknown version
    │   ├── ArtifactMismatch          two artifacts that do not belong together
    │   ├── StorageFull               there is no room on the disk for a change
    │   └── StorageReadOnly           a change may not be written
    ├── TrainingError             training can't start or go on
    └── TrainingInterrupted       by Ctrl-C, after its checkpoint was saved

Messages are written for the person who can mend the cause: what was wrong, with the value, and what is expected.
Only the messages of `ImageError` and `QueryError` are meant for the service's clients; the others name paths of the
machine and stay in its log.
"""


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


class TrainingInterrupted(SolemateError):
    """Ctrl-C ended a training before its last epoch; what it had learnt by then is saved."""
