"""Charts that are written once and shown to many: their specification, with the data as Arrow.

What a live chart looks like stays while its rows change, and writing it down takes ten times as
long as the rows: of a chart in two halves, a ``Drawing``, only these are written again.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa

__all__ = ["Drawing", "Ready", "Template", "ready", "template"]


@dataclass(frozen=True)
class Ready:
    """A chart's Vega-Lite specification.

    Args:
        spec: with the rows as streams of Arrow under ``datasets``, each named after its content.
        size: of these streams, in bytes.
    """

    spec: Mapping[str, Any]
    size: int


@dataclass(frozen=True)
class Drawing:
    """A chart in two halves: its rows, and what is made of them.

    Args:
        tables: the rows of its layers. No two have the same columns: Streamlit takes two data sets
            of equal bytes, such as two empty ones, for one, and rebuilds the chart when they become
            different.
        build: from such tables to the chart. Its specification must not depend on their rows.
    """

    tables: tuple[pd.DataFrame, ...]
    build: Callable[[Sequence[pd.DataFrame]], alt.TopLevelMixin]

    def chart(self) -> alt.TopLevelMixin:
        """Both together."""
        return self.build(self.tables)


@dataclass(frozen=True)
class Template:
    """A drawing's specification without its rows.

    Args:
        spec: in which each table is named by its place.
        used: the places of the tables that it has a layer for.
    """

    spec: Mapping[str, Any]
    used: frozenset[int]

    def filled(self, tables: Sequence[pd.DataFrame]) -> Ready:
        """The chart with these rows."""
        streams = {_place(at): _stream(tables[at]) for at in sorted(self.used)}
        names = {place: _name(stream) for place, stream in streams.items()}
        datasets = {names[place]: stream for place, stream in streams.items()}
        spec = {**_renamed(self.spec, names), "datasets": datasets}
        return Ready(spec, sum(map(len, datasets.values())))


_altair = threading.Lock()
"""Altair keeps how it writes data, and its theme, for the whole process."""


def ready(chart: alt.TopLevelMixin) -> Ready:
    """A chart's specification, without the sizes of Altair's theme: the page has its own."""
    streams: dict[str, bytes] = {}

    def write(data: Any) -> dict[str, str]:
        stream = _stream(data)
        name = _name(stream)
        streams[name] = stream
        return {"name": name}

    with _altair:
        alt.data_transformers.register("streams", write)
        with alt.theme.enable("none"), alt.data_transformers.enable("streams"):
            spec = chart.to_dict()
    spec["datasets"] = {**spec.get("datasets", {}), **streams}
    return Ready(spec, sum(map(len, streams.values())))


def template(drawing: Drawing) -> Template:
    """What stays of a drawing when its rows change."""
    found = ready(drawing.chart())
    places = {_name(_stream(table)): at for at, table in enumerate(drawing.tables)}
    named = {name: places[name] for name in found.spec["datasets"]}
    renamed = _renamed(found.spec, {name: _place(at) for name, at in named.items()})
    spec = {key: value for key, value in renamed.items() if key != "datasets"}
    return Template(spec, frozenset(named.values()))


def _place(at: int) -> str:
    return f"table {at}"


def _name(stream: bytes) -> str:
    return hashlib.sha256(stream).hexdigest()[:32]


def _renamed(spec: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A specification whose layers take their rows from data sets of other names."""
    changed = dict(spec)
    if "name" in changed.get("data", {}):
        name = changed["data"]["name"]
        changed["data"] = {**changed["data"], "name": names.get(name, name)}
    if "layer" in changed:
        changed["layer"] = [_renamed(layer, names) for layer in changed["layer"]]
    return changed


def _stream(rows: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
