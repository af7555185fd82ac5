"""The catalogue in Milvus, for when one machine is not enough: many stateless replicas of the service over one truth.

    address.py     where it is: milvus://host:port/collection
    store.py       MilvusStore, which keeps to `VectorStore`
    search.py      the nearest shoes: candidates from Milvus, exact distances and ties here
    attributes.py  filters, and what they may name; facets
    editing.py     changes: who may make one, and how it is all or nothing
    claims.py      who is changing which shoes
    versions.py    which change was the last, read in a millisecond
    layout.py      collections and their fields
    records.py     shoes as rows, changes as texts
    link.py        every call: its timeout, its retries, the circuit breaker

Milvus has no transactions and no compare-and-set, so `claims` and `versions` make up for them, out of what it does
have: one order of all writes, reads as of a moment in that order, and properties of a collection that are changed one
at a time and read at once by everybody.
"""
