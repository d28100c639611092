"""Front answers: what is known of a front already, from the artifacts or the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_core.errors import DataMissing, InputError
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs import front_artifacts
from mtl_core.runs.front_artifacts import FrontArtifact
from mtl_core.runs.known import Known
from mtl_core.runs.queue.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FrontAnswer", "FrontAnswers", "Tables", "other_data"]


@dataclass(frozen=True)
class Tables:
    """What a run has measured so far.

    Args:
        front: with the columns of ``front.FRONT_COLUMNS``.
        transfers: with the columns of ``front.TRANSFER_COLUMNS``; without rows where nothing was
            transferred.
    """

    front: "pd.DataFrame"
    transfers: "pd.DataFrame"


class FrontAnswer(Known[ParetoConfig, FrontArtifact]):
    """All that is known of a front."""


class FrontAnswers:
    """Looks fronts up, artifacts first.

    Args:
        store: runs of this machine; None when the store cannot be used.
        artifacts: by run id, those that were imported included.
    """

    def __init__(self, store: Store | None, artifacts: Mapping[str, FrontArtifact]) -> None:
        self.store = store
        self.artifacts = artifacts

    def find(self, config: ParetoConfig) -> FrontAnswer:
        """What is known of a front."""
        return self.find_id(config.id) or FrontAnswer(config, "none")

    def find_id(self, run: str) -> FrontAnswer | None:
        """What is known of the front with this id; None when nobody here has heard of it."""
        if artifact := self.artifacts.get(run):
            return FrontAnswer(artifact.config, "artifact", artifact=artifact)
        if self.store and (record := self.store.get_front(run)):
            return FrontAnswer(record.config, "store", record=record)
        return None

    def tables(self, answer: FrontAnswer) -> Tables:
        """What it has measured so far."""
        if answer.artifact is not None:
            return Tables(answer.artifact.front(), answer.artifact.transfers())
        if answer.record is not None and self.store is not None:
            return _tables(self.store, answer.config)
        return _tables(None, answer.config)

    def estimate_seconds(self, config: ParetoConfig) -> float | None:
        """How long a run may take here, from the last finished one of its problem; else None."""
        done = self.store.fronts("done") if self.store else []
        alike = [one for one in done if one.config.problem == config.problem and one.seconds > 0]
        if not alike:
            return None
        last = max(alike, key=lambda record: record.finished_at or 0.0)
        return last.seconds * _work(config) / _work(last.config)


def other_data(answer: FrontAnswer) -> str | None:
    """A line to show when a front was made on other data than this machine has."""
    made_on = answer.manifest.get("data_fingerprint")
    if answer.origin == "imported" and answer.config.problem_options:
        return None  # somebody else's file, whose path may be that of another one here
    try:
        here = front_artifacts.data_fingerprint(answer.config)
    except DataMissing:
        return None
    except InputError as error:
        return f"made on a file that cannot be read now ({error})"
    if made_on in (None, "unknown", here):
        return None
    return f"made on other data (fingerprint {made_on}) than this machine has ({here})"


def _tables(store: Store | None, config: ParetoConfig) -> Tables:
    from mtl_core.runs.fronts import front_table, transfer_table

    frames = store.frames(config.id) if store else []
    return Tables(front_table(config, frames), transfer_table(frames))


def _work(config: ParetoConfig) -> float:
    """Examples that are differentiated, and a third of those that are measured."""
    each = config.batch_size or config.samples or 1
    measured = (config.frames + 1) * 2 * (config.held_out or 0)
    solved = config.iterations * each * config.passes
    return (solved + measured / 3) * config.solutions * len(config.seeds)
