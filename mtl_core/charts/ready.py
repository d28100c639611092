"""Charts that are written once and shown to many: their specification, with the data as Arrow."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa

__all__ = ["Ready", "ready"]


@dataclass(frozen=True)
class Ready:
    """A chart's Vega-Lite specification.

    Args:
        spec: with the rows as streams of Arrow under ``datasets``, each named after its content.
        size: of these streams, in bytes.
    """

    spec: Mapping[str, Any]
    size: int


_altair = threading.Lock()
"""Altair keeps how it writes data, and its theme, for the whole process."""


def ready(chart: alt.TopLevelMixin) -> Ready:
    """A chart's specification, without the sizes of Altair's theme: the page has its own."""
    streams: dict[str, bytes] = {}

    def write(data: Any) -> dict[str, str]:
        stream = _stream(data)
        name = hashlib.sha256(stream).hexdigest()[:32]
        streams[name] = stream
        return {"name": name}

    with _altair:
        alt.data_transformers.register("streams", write)
        with alt.theme.enable("none"), alt.data_transformers.enable("streams"):
            spec = chart.to_dict()
    spec["datasets"] = {**spec.get("datasets", {}), **streams}
    return Ready(spec, sum(map(len, streams.values())))


def _stream(rows: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
