"""The client of a running service, synchronous and asynchronous. Needs httpx2 and pydantic, and nothing of the rest.

pip install 'solemate[client]'

    from solemate.client import Client

    with Client("http://127.0.0.1:8000") as client:
        for hit in client.search("photo.jpg", k=5, filter=["Gender:Women"]).hits:
            print(hit.id, hit.distance)
"""

from solemate.client.client import AsyncClient, Client
from solemate.client.errors import (
    ApiError,
    Busy,
    ClientError,
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotFound,
    UnexpectedAnswer,
    Unreachable,
)
from solemate.client.operations import NewItem, Options, PictureOptions, Query, View
from solemate.client.pictures import Picture

__all__ = [
    "ApiError",
    "AsyncClient",
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "InvalidRequest",
    "NewItem",
    "NotAllowed",
    "NotFound",
    "Options",
    "Picture",
    "PictureOptions",
    "Query",
    "UnexpectedAnswer",
    "Unreachable",
    "View",
]
