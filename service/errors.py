"""The errors that only the service raises. Those that the network's side raises too are in `model.errors`.

    SolemateError
    ├── CatalogueChanged          a search's next page was asked for, and the catalogue is another than at the first
    ├── UnknownItem               no shoe of that id in the catalogue
    ├── ItemExists                a shoe of that id is in the catalogue, and was not to be replaced
    ├── PictureMissing            the shoe is there, its picture's file is not
    ├── NotReady                  the service is up but can't answer as it should
    ├── Overloaded                more is asked of the service than it can do now; says when to try again
    │   ├── DeadlineExceeded          the request waited longer than it may
    │   ├── StoreBusy                 somebody else is changing the catalogue, or has replaced it
    │   ├── StoreUnavailable          the database that keeps the catalogue does not answer
    │   └── Interrupted               what was at work on the request broke down or takes too long; it may be done yet
    ├── AddressTaken              the service can't listen where it was told to
    └── KeysUnusable              the service's API keys can't be read, or are none

Of these, the messages of `NotReady`, `AddressTaken` and `KeysUnusable` are for the person who runs the service and stay
in its log; the others are meant for its clients.
"""

from model.errors import SolemateError
from model.text import MAX_ECHO


class CatalogueChanged(SolemateError):
    """The catalogue is not the one any more that a search's pages before were taken from."""

    def __init__(self) -> None:
        super().__init__(
            "the catalogue has changed since the page that this cursor came with; leave the cursor out to search anew"
        )


class UnknownItem(SolemateError):
    """No shoe of that id is in the catalogue."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"no shoe with id {item_id[:MAX_ECHO]!r} in the catalogue")
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


class MapMissing(SolemateError):
    """No map of the catalogue was drawn."""

    def __init__(self) -> None:
        super().__init__("no map of the catalogue was drawn; `python -m service map` draws one")


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
    """What was at work on a request broke down, or takes too long. Asking again may well succeed.

    What the request asks for may have been carried out, or be carried out still.
    """


class StoreBusy(Overloaded):
    """Somebody else is changing the catalogue and has not come to an end in time, or has put another in its place.

    Nothing of the change was stored.
    """


class StoreUnavailable(Overloaded):
    """The database that keeps the catalogue does not answer, or is about to finish a change that was cut short."""


class AddressTaken(SolemateError):
    """The address can't be listened on."""


class KeysUnusable(SolemateError):
    """The API keys can't be read, or one of them is none. The message never holds a key."""
