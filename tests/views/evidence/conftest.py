"""Runs written by hand, of any setting: what they measured is a function of task, seed and way."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.runs import Answers
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.trajectory import Row
from mtl_core.views.evidence import Row as Evidence
from mtl_core.views.evidence.known import Known
from mtl_core.views.evidence.rows import CLAIMS
from tests import stored
from tests.rows import row_of

Values = Callable[[str, int, float], Mapping[str, float]]
"""Task, seed, and share of the run from 0 to 1, to what is not as usual of its row."""
MADE = {
    "created": "2026-01-02T03:04:05Z",
    "device": "by hand",
    "versions": {},
    "data_fingerprint": "unknown",
    "factors": {},
}


@pytest.fixture
def ship(tmp_path: Path) -> Callable[[Mapping[RunConfig, Values]], Answers]:
    """Artifacts of these runs. Losses fall from 2 to 2e-4, and all else stays where it is."""

    def write(runs: Mapping[RunConfig, Values]) -> Answers:
        found: dict[str, Artifact] = {}
        for config, values in runs.items():
            pieces = stored.pieces_of(config, rows_of(config, values))
            content = artifacts.collected(config, pieces, MADE, 1.0)
            folder = artifacts.write(tmp_path / "cache" / config.id, content)
            found[config.id] = artifacts.read(folder)
        return Answers(None, found)

    return write


@pytest.fixture
def judged(ship) -> Callable[..., Evidence]:
    """The row of a claim in a setting; runs that are given again are not written again."""
    held: list[tuple[Mapping[RunConfig, Values], Known]] = []

    def judge(runs: Mapping[RunConfig, Values], key: str, setting: str) -> Evidence:
        known = next((known for given, known in held if given is runs), None)
        if known is None:
            known = Known(ship(runs))
            held.append((runs, known))
        (claim,) = (one for one in CLAIMS if one.key == key)
        (row,) = (one for one in claim.rows(claim, known) if one.name in (setting, "any"))
        return row

    return judge


def rows_of(config: RunConfig, values: Values) -> Iterator[Row]:
    for epoch in range(config.epochs + 1):
        for seed in config.seeds:
            for task in config.tasks:
                way = epoch / config.epochs
                usual: dict[str, Any] = {
                    "train_loss": 2 * 1e-4**way,
                    "test_metric": 0.8 + 0.001 * seed,
                    "val_metric": way,
                    "sharpness": 1.0 + 0.01 * seed,
                    "fisher_trace": 1.0 + 0.01 * seed,
                    "gradient_covariance": 1.0 + 0.01 * seed,
                    "gradient_similarity": 0.5 if config.auxiliaries else 1.0,
                }
                yield row_of(
                    config,
                    seed,
                    task,
                    epoch * config.steps_per_epoch,
                    **(usual | dict(values(task, seed, way))),
                )
