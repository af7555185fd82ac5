"""Addresses of stores in Milvus."""

import pytest

from service.milvus_address import Address, parse_address


def test_host_port_and_collection() -> None:
    """The plain form; Milvus's own port may be left out."""
    assert parse_address("milvus://db.example:19531/shoes") == Address("http://db.example:19531", "shoes")
    assert parse_address("milvus://10.0.0.7/shoes") == Address("http://10.0.0.7:19530", "shoes")
    assert parse_address("milvus://[::1]:7/shoes").uri == "http://[::1]:7"


def test_options() -> None:
    """All else stands behind a question mark."""
    text = "milvus+tls://db.example/shoes?database=shop&index=hnsw&shards=4&replicas=2&consistency=strong"
    assert parse_address(text) == Address(
        "https://db.example:19530", "shoes", database="shop", index="hnsw", shards=4, replicas=2, strong=True
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgres://db.example/shoes", "milvus://host:port/collection"),
        ("milvus:///shoes", "milvus://host:port/collection"),
        ("shoes", "milvus://host:port/collection"),
        ("milvus://db.example:port/shoes", "no port"),
        ("milvus://db.example:99999/shoes", "no port"),
        ("milvus://db.example", "'' is no name of a collection"),
        ("milvus://db.example/my-shoes", "'my-shoes' is no name"),
        ("milvus://db.example/shoes/boots", "'shoes/boots' is no name"),
        ("milvus://db.example/shoes?index=ivf", "index is 'ivf'; expected one of: flat, hnsw"),
        ("milvus://db.example/shoes?shards=0", "shards is '0'; expected 1 to 99"),
        ("milvus://db.example/shoes?consistency=maybe", "expected one of: session, strong"),
        ("milvus://db.example/shoes?colour=red", "unknown option 'colour'"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    """The message says what is wrong, and what is expected."""
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        parse_address(text)


def test_a_password_is_refused_and_not_told() -> None:
    """It would stand in the log; the message says where it belongs, and does not repeat it."""
    with pytest.raises(ValueError, match="SOLEMATE_STORE_TOKEN") as caught:
        parse_address("milvus://root:geheim@db.example/shoes")
    assert "geheim" not in str(caught.value)
