"""Puts runs into a store as a worker would, without carrying them out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl_core.runs import Store, kinds
from mtl_core.runs.kinds import Piece
from mtl_core.runs.kinds.base import columns_of

__all__ = ["WORKER", "pieces_of", "put", "solved"]

WORKER = "1-alice"


def pieces_of(config: Any, rows: Iterable[Mapping[str, Any]]) -> list[Piece]:
    """Rows of a config's main table as pieces with states, by seed and step."""
    table = kinds.of(config).main
    columns = kinds.of(config).tables[table].columns
    places: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        places.setdefault((row["seed"], row["step"]), []).append(row)
    return [
        Piece(seed, step, {table: columns_of(own, columns)}, {"step": np.array(step)})
        for (seed, step), own in places.items()
    ]


def solved(config: Any) -> list[Piece]:
    """Everything that the runs of a config measure, without states."""
    carry_out = kinds.of(config).carry_out
    assert carry_out is not None
    return list(carry_out(config, "cpu", None, {}))


def put(
    store: Store,
    config: Any,
    pieces: Sequence[Piece],
    end: Any = "done",
    *,
    error: str | None = None,
    info: Mapping[str, Any] | None = None,
    seconds: float = 0.0,
) -> Any:
    """All runs of a config with these pieces, ended as said; ``running`` does not end them."""
    store.submit(config)
    claimed = {record.key for record in store.claim(WORKER)}
    for record in store.runs(config.id):
        if record.key not in claimed:
            continue
        if record.seed not in config.seeds:
            continue
        own = [piece for piece in pieces if piece.seed == record.seed]
        if info is not None:
            store.describe(record.key, WORKER, info)
        assert store.save(record.key, WORKER, own, seconds=seconds)
        if end != "running":
            store.finish(record.key, WORKER, end, error)
    return config
