"""Where a catalogue in Milvus is: `milvus://host:port/collection`. Needs no Milvus to be understood.

The settings refuse a wrong address, or one with a password in it, before they are logged: so this lies below them.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, urlsplit

Index = Literal["flat", "hnsw"]

PORT = 19530

EXPECTED = (
    "expected milvus://host:port/collection, or milvus+tls://, and after it, if need be, "
    "?database=NAME&index=flat|hnsw&shards=N&replicas=N&consistency=session|strong"
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True)
class Address:
    """A catalogue in Milvus, and how it is made there.

    Attributes:
        uri: of the server, as pymilvus takes it; the path of a file for Milvus Lite.
        collection: the name of the collection that holds the shoes.
        database: within the server; "" is its default one.
        index: flat is exact; hnsw is approximate, for millions of shoes. Said when the catalogue is made.
        shards: over how many channels writes are spread. Said when the catalogue is made.
        replicas: how many times the shoes are held in memory. Said when the catalogue is made.
        strong: read at Milvus's consistency level Strong, which waits up to some tenths of a second for whatever was
            written before; else at Session, which waits for what this process has written.
    """

    uri: str
    collection: str
    database: str = ""
    index: Index = "flat"
    shards: int = 1
    replicas: int = 1
    strong: bool = False

    @property
    def is_lite(self) -> bool:
        """Whether it is in Milvus Lite, whose server is a thread of this process."""
        return "://" not in self.uri

    def __str__(self) -> str:
        return f"{self.uri}/{self.collection}"


def parse_address(text: str) -> Address:
    """Parse an address. Raises ValueError, which says what is expected."""
    parts = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise ValueError(f"{text!r} has no port that there can be; {EXPECTED}") from None
    if parts.scheme not in ("milvus", "milvus+tls") or not host or parts.fragment:
        raise ValueError(f"{text!r} is no address of a store; {EXPECTED}")
    if parts.username is not None or parts.password is not None:
        # It would be logged with the settings.
        raise ValueError("an address holds no password; say SOLEMATE_STORE_TOKEN=user:password instead")
    collection = parts.path.removeprefix("/")
    if not NAME.fullmatch(collection):
        raise ValueError(
            f"{collection!r} is no name of a collection: letters, digits and _, no digit first; {EXPECTED}"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = f"[{host}]" if ":" in host else host
    address = Address(
        uri=f"{'https' if parts.scheme == 'milvus+tls' else 'http'}://{host}:{port}",
        collection=collection,
        database=options.pop("database", ""),
        index=cast("Index", one_of("index", options.pop("index", "flat"), get_args(Index))),
        shards=count("shards", options.pop("shards", "1")),
        replicas=count("replicas", options.pop("replicas", "1")),
        strong=one_of("consistency", options.pop("consistency", "session"), ("session", "strong")) == "strong",
    )
    if options:
        raise ValueError(f"{text!r} has an unknown option {next(iter(options))!r}; {EXPECTED}")
    return address


def one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """`value`, if it is known. Raises ValueError."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; expected one of: {', '.join(known)}")
    return value


def count(name: str, value: str) -> int:
    """A small number, at least 1. Raises ValueError."""
    if not re.fullmatch(r"[1-9][0-9]?", value):
        raise ValueError(f"{name} is {value!r}; expected 1 to 99")
    return int(value)
