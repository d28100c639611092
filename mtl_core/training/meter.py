"""Meter: the factors of a stack of replicas, where it stands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from mtl_core import factors, settings
from mtl_core.config import RunConfig
from mtl_core.errors import FactorUndefined, InputError
from mtl_core.factors import layerwise
from mtl_core.factors.layerwise import ExampleGradients
from mtl_core.factors.vectors import Loss, Point, finite, groups
from mtl_core.training.batches import derived_seed
from mtl_core.training.network import STATISTICS_EXAMPLES, Network
from mtl_core.trajectory import Cosine

__all__ = ["FISHER_BATCH", "RHO", "SHARPNESS_BATCH", "Measurement", "Meter", "protocol"]

RHO = 1e-3
SHARPNESS_BATCH = 128
FISHER_BATCH = 16
"""Of Fisher as in the paper, and of covariance, which leaves |B| open."""

_AT_ONCE = 2**24
"""Numbers that the gradients of similarity's batches have, at most, at once."""

Data = Mapping[str, tuple[Tensor, Tensor]]


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
    """How each factor of a run is measured, with the choices that the paper leaves open."""
    size = min(max(config.factor_examples, config.batch_size), config.train_size)
    theta = "θ: all parameters of the shared encoder, biases included, heads fixed"
    setting = settings.get(config.setting)
    if setting.batch_norm:
        theta += (
            "; BatchNorm by the task's population statistics, means over batches of "
            f"{config.batch_size} of the first {STATISTICS_EXAMPLES:,} training examples, held "
            "fixed while θ is moved"
        )
    empirical = not setting.task(config.target).samples_labels
    on = f"the first {size:,} training examples of the task"
    sharp = size // SHARPNESS_BATCH
    every = {
        "sharpness": (
            f"worst-case adaptive ℓ∞ sharpness (M24 Eq. 3), ρ = {RHO:g}, mean over {sharp} "
            f"batches of {SHARPNESS_BATCH}, each maximised by {config.apgd_steps} steps of APGD; "
            f"on the first {sharp * SHARPNESS_BATCH:,} training examples of the task; {theta}"
            if sharp
            else f"not measured: {size} examples are fewer than a batch of {SHARPNESS_BATCH}"
        ),
        "fisher_trace": (
            f"trace of the Fisher information on mini-batches (M24 Eq. 8, App. C.2; in expectation "
            f"1/{FISHER_BATCH} of Eq. 5), mean squared norm of the gradients of "
            f"{size // FISHER_BATCH} mini-batches of {FISHER_BATCH}, "
            + (
                "with the true labels (the empirical Fisher), since the output is no distribution"
                if empirical
                else f"{config.fisher_draws} draw(s) of labels"
            )
            + f"; {on}, shuffled; {theta}"
        ),
        "gradient_covariance": (
            f"trace of the gradient covariance (M24 Eq. 13), {size // FISHER_BATCH} disjoint "
            f"batches of {FISHER_BATCH}; {on}, shuffled; {theta}"
        ),
        "gradient_similarity": (
            f"cosine of a task's gradient and the sum of all (M24 Eq. 6), mean over "
            f"{config.similarity_batches} random batches of {config.batch_size} per task; {on}; "
            f"{theta}; a single task's is 1 by definition"
        ),
    }
    return {name: every[name] for name in config.factors}


class Meter:
    """Measures replicas of ``config``.

    Which examples are taken depends on the step and the task, not on the replica's seed: replicas
    differ by what they are and not by what they are measured on.

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

    def measure(self, step: int) -> Measurement:
        """Everything that the config asks for, after ``step`` steps."""
        config = self._config
        found = Measurement({task: {} for task in config.tasks})
        params = {name: p.detach() for name, p in self._network.shared.items()}
        by_layer = self._network.linear_heads and layerwise.supported(self._network.encoder)
        examples = _Examples(self, step) if by_layer else None
        measured_on = config.tasks if config.auxiliary_factors else config.tasks[:1]
        for name, measure in (
            ("sharpness", self._sharpness),
            ("fisher_trace", self._fisher),
            ("gradient_covariance", self._covariance),
        ):
            for task in measured_on if name in config.factors else ():
                value = partial(measure, params, task, step, examples)
                found.values[task][name] = self._guarded(name, task, step, value, found.notes)
                if name == "fisher_trace" and not self.samples_labels(task):
                    found.notes.append(
                        f"fisher_trace of {task}: the empirical Fisher, with true labels, since "
                        "its output is no distribution to sample from"
                    )
        if "gradient_similarity" in config.factors:
            self._similarity(params, step, examples, found)
        return found

    def _sharpness(
        self, params: dict[str, Tensor], task: str, step: int, examples: "_Examples | None"
    ) -> Tensor:
        inputs, targets = self.first(task)
        size = SHARPNESS_BATCH
        parts = [
            (inputs[start : start + size], targets[start : start + size])
            for start in range(0, len(targets) - size + 1, size)
        ]
        if not parts:
            raise InputError(_too_few(len(targets), size))
        return factors.sharpness(
            self._loss(task), params, parts, rho=RHO, steps=self._config.apgd_steps
        )

    def _fisher(
        self, params: dict[str, Tensor], task: str, step: int, examples: "_Examples | None"
    ) -> Tensor:
        index = self._partition("fisher", task, step)
        if not len(index):
            raise InputError(_too_few(len(self.first(task)[1]), FISHER_BATCH))
        if examples is not None:
            squares = [
                drawn.squares(index).mean()
                for replica in range(len(self._seeds))
                for drawn in examples.sampled(task, replica)
            ]
            mean = torch.stack(squares).view(len(self._seeds), -1).mean(dim=1)
            return finite("Fisher trace", mean)
        inputs, targets = self.first(task)
        order = index.flatten()
        if not self.samples_labels(task):
            return factors.empirical_fisher_trace(
                self._loss(task), params, inputs[order], targets[order], batch_size=FISHER_BATCH
            )
        return factors.fisher_trace(
            self._logits(task),
            params,
            inputs[order],
            batch_size=FISHER_BATCH,
            samples=self._config.fisher_draws,
            generator=self.labels_generator(task, step),
            pixels=targets.ndim > 1,
        )

    def _covariance(
        self, params: dict[str, Tensor], task: str, step: int, examples: "_Examples | None"
    ) -> Tensor:
        index = self._partition("covariance", task, step)
        inputs, targets = self.first(task)
        if len(index) < 2:
            raise InputError(_too_few(len(targets), 2 * FISHER_BATCH))
        if examples is None:
            batches = [(inputs[part], targets[part]) for part in index]
            return factors.gradient_covariance_trace(
                self._loss(task), params, batches, dataset_size=len(targets)
            )
        traces = []
        for replica in range(len(self._seeds)):
            true = examples.true(task, replica)
            traces.append(
                factors.covariance_trace(
                    true.squares(index).mean(),
                    true.means(index.reshape(1, -1))[0],
                    batches=len(index),
                    batch_size=FISHER_BATCH,
                    dataset_size=len(targets),
                )
            )
        return finite("gradient covariance", torch.stack(traces))

    def _similarity(
        self, params: dict[str, Tensor], step: int, examples: "_Examples | None", found: Measurement
    ) -> None:
        names = self._config.tasks
        if len(names) == 1:
            found.values[names[0]]["gradient_similarity"] = [1.0] * len(self._seeds)
            return
        try:
            similarity, cosines = self._mean_cosines(params, step, examples)
        except InputError as error:
            found.notes.append(f"gradient_similarity: {error}")
            return
        for k, task in enumerate(names):
            directed = partial(_directed, similarity[:, k])
            found.values[task]["gradient_similarity"] = self._guarded(
                "gradient_similarity", task, step, directed, found.notes
            )
        for replica, seed in enumerate(self._seeds):
            for i, j in combinations(range(len(names)), 2):
                cosine = float(cosines[replica, i, j])
                if np.isfinite(cosine):
                    found.cosines.append(
                        Cosine(
                            seed=seed,
                            step=step,
                            epoch=step / self._config.steps_per_epoch,
                            task=names[i],
                            other=names[j],
                            cosine=cosine,
                        )
                    )

    def _mean_cosines(
        self, params: dict[str, Tensor], step: int, examples: "_Examples | None"
    ) -> tuple[Tensor, Tensor]:
        """Means over random batches: similarities (R, K), pairwise cosines (R, K, K)."""
        config, names = self._config, self._config.tasks
        count, replicas = config.similarity_batches, len(self._seeds)
        index = [self._random_batches(task, step) for task in names]
        similarity = torch.zeros(replicas, len(names), dtype=torch.float64)
        cosines = torch.zeros(replicas, len(names), len(names), dtype=torch.float64)
        points = [self._point(task, params, at) for task, at in zip(names, index, strict=True)]
        # Large batches have more pairs of examples than a gradient has numbers.
        numbers = max(points[0].vector.numel(), config.batch_size**2)
        together = max(1, _AT_ONCE // (numbers * len(names)))
        for start in range(0, count, together):
            part = slice(start, start + together)
            if examples is not None:
                gramian = torch.stack(
                    [
                        layerwise.batch_gramians(
                            [examples.true(task, replica) for task in names],
                            [at[part] for at in index],
                        )
                        for replica in range(replicas)
                    ],
                    dim=1,
                )
            else:
                gradients = [
                    _batch_by_batch(point, at[part])
                    for point, at in zip(points, index, strict=True)
                ]
                gramian = factors.gramian(torch.stack(gradients, dim=-2))
            for k in range(len(names)):
                similarity[:, k] += factors.gradient_similarity(gramian, k).sum(dim=0).cpu()
            cosines += factors.pairwise_cosines(gramian).sum(dim=0).cpu()
        return similarity / count, cosines / count

    def samples_labels(self, task: str) -> bool:
        """Whether the task's output is a distribution to draw labels from."""
        return settings.get(self._config.setting).task(task).samples_labels

    def labels_generator(self, task: str, step: int) -> torch.Generator:
        """The source of the labels that Fisher draws."""
        return torch.Generator().manual_seed(derived_seed(f"labels/{task}/{step}"))

    def label_numbers(self, task: str, step: int) -> Tensor:
        """(draws, N) uniform numbers, the very ones that ``factors.fisher_trace`` would use."""
        index, draws = self._partition("fisher", task, step), self._config.fisher_draws
        numbers = torch.rand(
            (len(index), draws, FISHER_BATCH), generator=self.labels_generator(task, step)
        )
        placed = torch.zeros(draws, len(self.first(task)[1]))
        placed[:, index.flatten().cpu()] = numbers.transpose(0, 1).reshape(draws, -1)
        return placed.to(index.device)

    def examples(self, task: str, replica: int, step: int) -> list[ExampleGradients]:
        """With the true labels, then with each draw where Fisher is due for this task."""
        config, (inputs, targets) = self._config, self.first(task)
        weight, bias = self.head(task, replica)

        def true(features: Tensor, part: slice) -> Tensor:
            outputs = linear(features, weight, bias).unsqueeze(0)
            return self._network.losses(task, outputs, targets[part].unsqueeze(0)).sum()

        def drawn(numbers: Tensor, features: Tensor, part: slice) -> Tensor:
            log_p = torch.log_softmax(linear(features, weight, bias), dim=-1)
            labels = factors.drawn_labels(log_p.detach(), numbers[part])
            return -log_p.gather(-1, labels.unsqueeze(-1)).sum()

        losses: list[Callable[[Tensor, slice], Tensor]] = [true]
        due = task == config.target or config.auxiliary_factors
        if due and "fisher_trace" in config.factors and self.samples_labels(task):
            losses += [partial(drawn, numbers) for numbers in self.label_numbers(task, step)]
        return layerwise.example_gradients(
            self._network.encoder, self._network.single(replica), inputs, losses
        )

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

    def first(self, task: str) -> tuple[Tensor, Tensor]:
        """The training examples that factors are measured on, always the same."""
        inputs, targets = self._data[task]
        # A batch of the run's own size must be found among them, too.
        count = max(self._config.factor_examples, self._config.batch_size)
        return inputs[:count], targets[:count]

    def head(self, task: str, replica: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a replica's head."""
        heads = self._network.heads
        weight, bias = heads[f"heads.{task}.weight"], heads[f"heads.{task}.bias"]
        return weight[replica].detach(), bias[replica].detach()

    def _partition(self, factor: str, task: str, step: int) -> Tensor:
        """(m, FISHER_BATCH) disjoint random batches of the first examples."""
        _, targets = self.first(task)
        rng = np.random.default_rng(derived_seed(f"{factor}/{task}/{step}"))
        batches = len(targets) // FISHER_BATCH
        order = rng.permutation(len(targets))[: batches * FISHER_BATCH]
        return torch.from_numpy(order.reshape(batches, FISHER_BATCH)).to(targets.device)

    def _random_batches(self, task: str, step: int) -> Tensor:
        """(similarity_batches, batch_size) random batches, each without replacement."""
        _, targets = self.first(task)
        setting = settings.get(self._config.setting)
        # Tasks on one input meet on the same examples, as they do in a step.
        drawn_for = setting.name if setting.one_input else task
        rng = np.random.default_rng(derived_seed(f"similarity/{drawn_for}/{step}"))
        drawn = [
            rng.choice(len(targets), self._config.batch_size, replace=False)
            for _ in range(self._config.similarity_batches)
        ]
        return torch.from_numpy(np.stack(drawn)).to(targets.device)

    def _point(self, task: str, params: dict[str, Tensor], index: Tensor) -> Point:
        """The task's loss of batches that are given by their examples' numbers."""
        loss, (inputs, targets) = self._loss(task), self.first(task)

        def gathered(params: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
            return loss(params, (inputs[batch[0]], targets[batch[0]]))

        return Point(gathered, params, (index[0],))

    def _logits(self, task: str) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
        def logits(params: dict[str, Tensor], inputs: Tensor) -> Tensor:
            features = self._network.encode(params, inputs, per_replica=False, measured=task)
            return self._network.logits(task, features, measured=True)

        return logits

    def _loss(self, task: str) -> Loss:
        logits = self._logits(task)

        def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
            inputs, targets = batch
            # Sharpness is a small difference of losses: their mean must not be rounded to floats.
            outputs = logits(params, inputs).double()  # (R, N, C)
            everyone = targets.expand(len(outputs), *targets.shape)
            return self._network.losses(task, outputs, everyone).mean(dim=1)

        return loss


class _Examples:
    """Per-example gradients of a checkpoint, computed when they are asked for."""

    def __init__(self, meter: Meter, step: int) -> None:
        self._meter, self._step = meter, step
        self._known: dict[tuple[str, int], list[ExampleGradients]] = {}

    def true(self, task: str, replica: int) -> ExampleGradients:
        """Of the losses with the true labels."""
        return self._of(task, replica)[0]

    def sampled(self, task: str, replica: int) -> list[ExampleGradients]:
        """Of the losses with sampled labels, one for each draw; of an empirical Fisher the true."""
        return self._of(task, replica)[1:] or self._of(task, replica)

    def _of(self, task: str, replica: int) -> list[ExampleGradients]:
        if (task, replica) not in self._known:
            self._known[task, replica] = self._meter.examples(task, replica, self._step)
        return self._known[task, replica]


def _batch_by_batch(point: Point, index: Tensor) -> Tensor:
    """(m, R, P)"""
    return torch.cat(
        [point.gradients(part) for part in groups([(i,) for i in index], point.vector)]
    )


def _directed(similarity: Tensor) -> Tensor:
    """Raises FactorUndefined where a gradient was zero and had no direction."""
    if not bool(torch.isfinite(similarity).all()):
        raise FactorUndefined("a gradient was zero and has no direction", similarity)
    return similarity


def _too_few(examples: int, needed: int) -> str:
    return f"{examples} training examples are fewer than the {needed} that it needs; take more"
