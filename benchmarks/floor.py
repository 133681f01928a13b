"""The least that a service in Python could do with a raw record, as a server to be timed.

It receives the body, decodes of it once what our mappings read (without the elements that are
listed only to be checked), asks the same trees for the contributions to a row that it was given
when it started, and answers. It refuses no repeated key, maps nothing, finds no stay, computes no
feature and words no reason: what ours takes beyond it is what those cost. Started by ``serving``
as ``python -m benchmarks.floor PORT FILE``.
"""

import gc
import sys
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec
import numpy as np
import uvicorn
import xgboost

from fhir_mappings.records.datatypes import Extension
from fhir_mappings.records.resources import RESOURCES

Message = dict[str, Any]


class Given(msgspec.Struct):
    """What the floor is told when it starts."""

    trees: str
    row: list[float | None]
    passed_over: list[str]
    """The types in the record that we do not read: decoding by type must know them all."""


class Floor:
    """The application (ASGI, without a framework)."""

    def __init__(self, given: Given) -> None:
        others = [
            msgspec.defstruct(name, [], tag_field="resourceType", tag=name)
            for name in given.passed_over
        ]
        record: Any = reduce(or_, [*map(_read_alone, RESOURCES.values()), *others])
        entry = msgspec.defstruct("Entry", [("resource", record)], gc=False)
        bundle = msgspec.defstruct("Bundle", [("entry", list[entry])], gc=False)  # type: ignore[valid-type]  # made above
        self._decode = msgspec.json.Decoder(bundle).decode
        self._row = np.array([given.row], dtype=np.float32)
        self._booster = xgboost.Booster({"nthread": 1}, model_file=given.trees)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a body with the number of its entries and the contributions to the row."""
        content = b"ready"
        if scope["method"] == "POST":
            chunks, more = [], True
            while more:
                message = await receive()
                chunks.append(message["body"])
                more = message["more_body"]
            entries = self._decode(b"".join(chunks)).entry
            rows = xgboost.DMatrix(self._row, nthread=1)
            contributions = self._booster.predict(rows, pred_contribs=True)
            content = msgspec.json.encode([len(entries), contributions[0].tolist()])
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _read_alone(kind: Any) -> Any:
    """A type of our records, without the elements that no event needs."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind is Extension:
            return kind  # it holds itself, and a record holds few
        fields = [
            (
                field.name,
                _read_alone(field.type),
                msgspec.field(default=None, name=field.encode_name),
            )
            for field in msgspec.structs.fields(kind)
            if field.type is not Any
        ]
        tag = {key: getattr(kind.__struct_config__, key) for key in ("tag", "tag_field")}
        return msgspec.defstruct(kind.__name__, fields, gc=False, **tag)
    parts = [_read_alone(part) for part in get_args(kind)]
    if not parts:
        return kind
    return reduce(or_, parts) if get_origin(kind) is UnionType else get_origin(kind)[*parts]


def main(port: str, file: str) -> None:
    """Serve until stopped."""
    given = msgspec.json.decode(Path(file).read_bytes(), type=Given)
    app = Floor(given)
    # As our service does: the collector need not walk what stays, nor run in every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), access_log=False, log_level="error", lifespan="off"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
