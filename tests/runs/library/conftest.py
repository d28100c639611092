"""Small experiments of every kind, and artifacts of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core.runs import kinds
from mtl_core.runs.kinds import Piece
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.artifacts import Artifact, Content
from mtl_core.trajectory import COSINES
from tests.runs.library.receiving import Files, receive
from tests.runs.library.tampering import files_of, zipped

Make = Callable[..., Any]
INFO = {
    "created": "2026-01-02T03:04:05Z",
    "device": "cpu",
    "versions": {"torch": "2.0"},
    "data_fingerprint": "0123456789abcdef",
    "factors": {"sharpness": "by APGD"},
}


@pytest.fixture
def makers(make_config: Make, make_front: Make) -> dict[str, Make]:
    """By kind: a small experiment of two seeds that fills several tables, with changes."""

    def front(**changes: Any) -> Any:
        return make_front(**({"seeds": (0, 1), "method": "decay"} | changes))

    def training(**changes: Any) -> Any:
        return make_config(**({"seeds": (0, 1)} | changes))

    return {"training": training, "front": front}


@pytest.fixture(params=list(kinds.KINDS))
def make(request: pytest.FixtureRequest, makers: dict[str, Make]) -> Make:
    return makers[request.param]


@pytest.fixture
def config(make: Make) -> Any:
    return make()


@pytest.fixture
def content_of(make_pieces: Make) -> Callable[..., Content]:
    """What an artifact of all of a config's seeds holds, with changes to where it comes from."""

    def made_up(config: Any, **made: Any) -> Content:
        last = kinds.of(config).steps(config)
        steps = (0, 1, last) if config.kind == "training" else config.steps
        pieces = [piece for step in steps for piece in make_pieces(config, config.seeds, step)]
        if config.kind == "training":
            pair = {"task": config.tasks[0], "other": config.tasks[-1], "epoch": 0.25}
            for seed in config.seeds:
                row = {"seed": seed, "step": 1, "cosine": 1 / (seed + 1) - 0.25, **pair}
                pieces.append(Piece(seed, 1, {"cosines": columns_of([row], COSINES)}))
        collected = artifacts.collected(config, pieces, INFO | made, 1.5)
        return replace(collected, notes=["nothing of note"])

    return made_up


@pytest.fixture
def ship(tmp_path: Path, content_of: Make) -> Callable[..., Artifact]:
    """Writes an artifact of a config and reads it."""

    def write(config: Any, place: str = "ship", **made: Any) -> Artifact:
        folder = artifacts.write(tmp_path / place / config.id, content_of(config, **made))
        return artifacts.read(folder)

    return write


@pytest.fixture
def shipped(config: Any, ship: Callable[..., Artifact]) -> Artifact:
    return ship(config)


@pytest.fixture
def files(shipped: Artifact) -> Files:
    """Those of a sound artifact."""
    return files_of(shipped.folder)


@pytest.fixture
def other(make: Make, ship: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of what was imported already; a pickle that runs leaves a folder beside it."""
    one = ship(make(lr=0.07))
    receive(zipped(files_of(one.folder)))
    monkeypatch.chdir(tmp_path)
    return str(one.config.id)
