"""Meter: measures the factors of a stack of replicas at a checkpoint."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
from torch import Tensor

from mtl_core import factors, settings
from mtl_core.config import RunConfig
from mtl_core.errors import FactorUndefined, InputError
from mtl_core.training.network import STATISTICS_EXAMPLES, Network
from mtl_core.training.site import Data, StackSite
from mtl_core.trajectory import Cosine

__all__ = ["Measurement", "Meter", "protocol"]


@dataclass
class Measurement:
    """What was due at a checkpoint.

    Attributes:
        values: task -> factor -> a value for each replica; None where there is none.
        cosines: of pairs of task gradients.
        notes: why a value is missing, or how it differs from what its name says.
    """

    values: dict[str, dict[str, list[float | None]]]
    cosines: list[Cosine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def protocol(config: RunConfig) -> dict[str, str]:
    """How each factor of a run is measured, with the choices that the paper leaves open.

    Where users choose the encoder, the metric's line names it, with or without factors.
    """
    setting = settings.get(config.setting)
    model = setting.pretrained()
    encoder = "the shared encoder" if model is None else f"the shared encoder ({model.name})"
    theta = f"θ: all parameters of {encoder}, biases included, heads fixed"
    if setting.batch_norm:
        theta += (
            "; BatchNorm by the task's population statistics, means over batches of "
            f"{config.batch_size} of the first {STATISTICS_EXAMPLES:,} training examples, held "
            "fixed while θ is moved"
        )
    terms = factors.Terms(
        config=config,
        examples=min(max(config.factor_examples, config.batch_size), config.train_size),
        theta=theta,
        samples_labels=setting.task(config.target).samples_labels,
    )
    said = {name: factors.get(name).protocol(terms) for name in config.factors}
    if model is not None:
        said["test_metric"] = f"of {model.name}, fine-tuned, with a head for each task"
    return said


class Meter:
    """Measures the factors that ``config`` asks for on replicas of it.

    Args:
        data: task -> its training (inputs, targets), on the network's device.
    """

    def __init__(
        self, config: RunConfig, seeds: Sequence[int], network: Network, data: Data
    ) -> None:
        self._config = config
        self._seeds = seeds
        self._network = network
        self._data = data

    def site(self, step: int) -> StackSite:
        """The replicas where they stand, after ``step`` steps."""
        return StackSite(self._config, self._seeds, self._network, self._data, step)

    def measure(self, step: int) -> Measurement:
        """Everything that the config asks for, after ``step`` steps."""
        config, site = self._config, self.site(step)
        found = Measurement({task: {} for task in config.tasks})
        for name in config.factors:
            factor = factors.get(name)
            everywhere = factor.every_task or config.auxiliary_factors
            for task in config.tasks if everywhere else config.tasks[:1]:
                value = partial(factor.measure, site, task)
                found.values[task][name] = self._guarded(name, task, step, value, found.notes)
                if caveat := factor.caveat(site, task):
                    found.notes.append(f"{name} of {task}: {caveat}")
            if factor.cosines is not None and len(config.tasks) > 1:
                with suppress(InputError):  # the factor's own values have reported it
                    found.cosines += self._pairs(factor.cosines(site), step)
        return found

    def _guarded(
        self, name: str, task: str, step: int, measure: Callable[[], Tensor], notes: list[str]
    ) -> list[float | None]:
        """A value for each replica; None and a note where there is none."""
        try:
            return [float(value) for value in measure().tolist()]
        except FactorUndefined as error:
            missing = zip(self._seeds, error.values.tolist(), strict=True)
            seeds = " ".join(str(seed) for seed, value in missing if not np.isfinite(value))
            notes.append(f"{name} of {task} at step {step}, seed {seeds}: {error}")
            return [float(v) if np.isfinite(v) else None for v in error.values.tolist()]
        except InputError as error:
            notes.append(f"{name} of {task}: {error}")
            return [None] * len(self._seeds)

    def _pairs(self, cosines: Tensor, step: int) -> list[Cosine]:
        """Rows of (R, K, K) cosines, without those that are not known."""
        tasks, found = self._config.tasks, []
        for replica, seed in enumerate(self._seeds):
            for i, j in combinations(range(len(tasks)), 2):
                cosine = float(cosines[replica, i, j])
                if np.isfinite(cosine):
                    epoch = step / self._config.steps_per_epoch
                    found.append(
                        Cosine(
                            seed=seed,
                            step=step,
                            epoch=epoch,
                            task=tasks[i],
                            other=tasks[j],
                            cosine=cosine,
                        )
                    )
        return found
