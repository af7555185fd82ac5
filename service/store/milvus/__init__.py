"""The catalogue in Milvus, for when one machine is not enough: many stateless replicas of the service over one truth.

Milvus is taken as it is: a row a shoe, which an upsert replaces as a whole; its own consistency levels; the last write
of a shoe wins. What it does not promise, such as several shoes at once, is not built on top of it: docs/scaling.md.
"""
