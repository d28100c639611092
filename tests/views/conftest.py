"""Artifacts of any kind, and entries of the library."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answer
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.views.library import Entry

Make = Callable[..., Any]
INFO = {
    "created": "2026-01-02T03:04:05Z",
    "device": "NVIDIA H200",
    "versions": {},
    "data_fingerprint": "unknown",
    "factors": {},
}


@pytest.fixture
def ship(tmp_path: Path, make_pieces: Make) -> Callable[..., Artifact]:
    """Writes an artifact of a config, shipped or at the place of imported ones.

    ``former`` are ids that it had before, to their seeds; more is said of where it was made.
    """

    def write(
        config: Any,
        *,
        imported: bool = False,
        former: Mapping[str, Sequence[int]] | None = None,
        **made: Any,
    ) -> Artifact:
        root = artifacts.imported_dir() if imported else tmp_path / "cache"
        steps = (0, config.steps) if config.kind == "training" else config.steps
        pieces = [piece for step in steps for piece in make_pieces(config, config.seeds, step)]
        content = artifacts.collected(config, pieces, INFO | made, 61.5)
        content = artifacts.Content(config, content.tables, content.made, former=former or {})
        return artifacts.read(artifacts.write(root / config.id, content))

    return write


@pytest.fixture
def entry() -> Callable[[Any], Entry]:
    """A library's entry of an experiment that nobody has carried out yet."""
    return lambda config: Entry(config.id, "own", Answer(config))
