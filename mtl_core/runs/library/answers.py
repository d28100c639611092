"""Answers: what is known of a run already, from the shipped artifacts or the store."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.known import Known
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.queue.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "Answers"]


class Answer(Known[RunConfig, Artifact]):
    """All that is known of a training run."""


class Answers:
    """Looks runs up, artifacts first.

    Args:
        store: runs of this machine; None when the store cannot be used.
        shipped: artifacts by run id, those that were imported included.
    """

    def __init__(self, store: Store | None, shipped: Mapping[str, Artifact]) -> None:
        self.store = store
        self.shipped = shipped

    def find(self, config: RunConfig) -> Answer:
        """What is known of a run."""
        if artifact := self.shipped.get(config.id):
            return Answer(config, "artifact", artifact=artifact)
        if self.store and (record := self.store.get(config.id)):
            return Answer(config, "store", record=record)
        return Answer(config, "none")

    def find_id(self, run: str) -> Answer | None:
        """What is known of the run with this id; None when nobody here has heard of it."""
        if artifact := self.shipped.get(run):
            return Answer(artifact.config, "artifact", artifact=artifact)
        if self.store and (record := self.store.get(run)):
            return Answer(record.config, "store", record=record)
        return None

    def trajectory(self, answer: Answer) -> "pd.DataFrame":
        """Its rows so far."""
        if answer.artifact is not None:
            return answer.artifact.trajectory()
        if answer.record is not None and self.store is not None:
            if answer.record.state == "done":
                return _finished(self.store, answer.config.id, answer.record.finished_at).copy()
            return self.store.trajectory(answer.config.id)
        from mtl_core.runs.library.frames import to_frame

        return to_frame([])

    def side(self, name: str, answer: Answer) -> "pd.DataFrame":
        """Its rows so far in a table of ``trajectory.SIDE_TABLES``."""
        from mtl_core.runs.library.frames import side_frame

        if answer.artifact is not None:
            return answer.artifact.side(name)
        if answer.record is not None and self.store is not None:
            return side_frame(name, self.store.side(name, answer.config.id))
        return side_frame(name, [])

    def notes(self, answer: Answer) -> list[str]:
        """Why some of its factors are missing, or measured another way."""
        if answer.artifact is not None:
            return [str(note) for note in answer.artifact.manifest.get("notes", [])]
        if answer.record is not None and self.store is not None:
            return self.store.notes(answer.config.id)
        return []

    def finished(self) -> list[Answer]:
        """All runs that are done, artifacts first."""
        found = {
            run: Answer(one.config, "artifact", artifact=one) for run, one in self.shipped.items()
        }
        for record in self.store.runs("done") if self.store else []:
            found.setdefault(record.id, Answer(record.config, "store", record=record))
        return list(found.values())

    def alike(self, config: RunConfig) -> "list[Answer]":
        """All finished runs that share a config's target and budget, whatever is learned along.

        Their optimizers may differ too; everything else is equal.
        """
        budget = _budget(config)
        mine = (config.setting, config.target)
        return [
            answer
            for answer in self.finished()
            if (answer.config.setting, answer.config.target) == mine
            and _budget(answer.config) == budget
        ]

    def estimate_seconds(self, config: RunConfig) -> float | None:
        """How long a run may take here, from the last finished run of its setting; None if unknown.

        Scaled by the work: examples trained on, a third of the examples evaluated, and the passes
        that factors take.
        """
        done = self.store.runs("done") if self.store else []
        alike = [
            record
            for record in done
            if record.config.setting == config.setting and record.seconds > 0
        ]
        if not alike:
            return None
        last = max(alike, key=lambda record: record.finished_at or 0.0)
        return last.seconds * _work(config) / _work(last.config)


def other_data(answer: Answer) -> str | None:
    """A line to show when an artifact was made on other data than this machine has."""
    made_on = answer.manifest.get("data_fingerprint")
    if made_on is None:
        return None
    try:
        here = artifacts.data_fingerprint(answer.config)
    except InputError:
        return None
    if made_on == here:
        return None
    return f"made on other data (fingerprint {made_on}) than this machine has ({here})"


@lru_cache(maxsize=64)
def _finished(store: Store, run: str, _finished_at: float | None) -> "pd.DataFrame":
    """What is done does not change."""
    return store.trajectory(run)


def _budget(config: RunConfig) -> RunConfig:
    """What two runs must share for their factors to be compared: the baseline's own config."""
    return config.baseline


def _work(config: RunConfig) -> float:
    from mtl_core import settings
    from mtl_core.training.schedule import checkpoint_steps, factor_steps

    setting = settings.get(config.setting)
    evaluated = 0
    for task in map(setting.task, config.tasks):
        evaluated += config.samples or task.train_size
        evaluated += (config.held_out or task.val_size) + (config.held_out or task.test_size)
    trained = config.steps * config.batch_size * len(config.tasks)
    measured = len(checkpoint_steps(config)) * evaluated
    passes = len(config.tasks)
    if "sharpness" in config.factors:
        passes += config.apgd_steps * (len(config.tasks) if config.auxiliary_factors else 1)
    factors = len(factor_steps(config)) * config.factor_examples * passes
    return (trained + measured / 3 + factors) * len(config.seeds) * config.width
