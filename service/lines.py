"""The answer to a batch of new shoes: a line of JSON for each, as soon as it is written or has failed."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence

from model.errors import QueryError
from service.additions import Addition
from service.answers import spell_item
from service.changes import Changed
from service.editing import Editor, NewShoe
from service.errors import describe_error
from service.schemas import BatchLine, Item

__all__ = ["LINES", "write_lines"]

LINES = "application/x-ndjson"


async def write_lines(editor: Editor, additions: Sequence[Addition], *, overwrite: bool) -> AsyncIterator[bytes]:
    """Add shoes, a part of them at a time, and tell of each; see `service.schemas.BatchLine`."""
    first = 0
    for part in _divide(additions, editor.batch):
        shoes = [addition.shoe for addition in part if isinstance(addition.shoe, NewShoe)]
        added = iter(await editor.add_all(shoes, overwrite=overwrite))
        text = b""
        for index, addition in enumerate(part, start=first):
            outcome = addition.shoe if isinstance(addition.shoe, QueryError) else next(added)
            text += _write_line(index, addition.item_id, outcome)
        first += len(part)
        yield text


def _divide(additions: Sequence[Addition], size: int) -> Iterator[list[Addition]]:
    """Parts of at most `size` shoes in which no id comes twice: of several, the last one is to stay."""
    part: list[Addition] = []
    ids: set[str | None] = set()
    for addition in additions:
        if len(part) == size or (addition.item_id is not None and addition.item_id in ids):
            yield part
            part, ids = [], set()
        part.append(addition)
        ids.add(addition.item_id)
    if part:
        yield part


def _write_line(index: int, item_id: str | None, outcome: Changed | Exception) -> bytes:
    if isinstance(outcome, Changed):
        item = Item.model_validate(spell_item(outcome.item))
        line = BatchLine(index=index, id=item_id, status=201 if outcome.created else 200, item=item)
    else:
        problem = describe_error(outcome)
        line = BatchLine(index=index, id=item_id, status=problem.status, problem=problem)
    # In ASCII: some readers of lines take other characters than a line feed for a line's end too.
    return json.dumps(line.model_dump(exclude_none=True)).encode() + b"\n"
