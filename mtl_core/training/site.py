"""StackSite: a stack of replicas where it stands, as the factors ask for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import linear

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.factors import drawn_labels, layerwise
from mtl_core.factors.base import MINI_BATCH, Site
from mtl_core.factors.layerwise import ExampleGradients
from mtl_core.factors.vectors import Loss
from mtl_core.training import padding
from mtl_core.training.batches import derived_seed
from mtl_core.training.network import Network

__all__ = ["Data", "StackSite"]

Data = Mapping[str, tuple[Tensor, Tensor]]
Value = TypeVar("Value")


class StackSite:
    """Replicas of ``config`` after ``step`` steps: a ``factors.Site``.

    Args:
        data: task -> its training (inputs, targets), on the network's device.
    """

    def __init__(
        self, config: RunConfig, seeds: Sequence[int], network: Network, data: Data, step: int
    ) -> None:
        self.config = config
        self.replicas = len(seeds)
        self.by_example = network.linear_heads and layerwise.supported(network.encoder)
        self.params = {name: p.detach() for name, p in network.shared.items()}
        self._network, self._data, self._step = network, data, step
        self._gradients: dict[tuple[str, int], list[ExampleGradients]] = {}
        self._known: dict[Callable[[Site], Any], Any] = {}

    def first(self, task: str) -> tuple[Tensor, Tensor]:
        """The training examples that factors are measured on, always the same."""
        inputs, targets = self._data[task]
        # A batch of the run's own size must be found among them, too.
        count = max(self.config.factor_examples, self.config.batch_size)
        return inputs[:count], targets[:count]

    def batches(
        self, task: str, parts: Sequence[Tensor | slice]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Some of the examples that ``first`` gives, without the padding that a batch shares."""
        inputs, targets = self.first(task)
        lengths = padding.lengths(self._network.encoder, inputs)
        if lengths is None:
            yield from ((inputs[part], targets[part]) for part in parts)
            return
        longest = [int(lengths[part].max()) for part in parts]
        for part, most in zip(parts, padding.common(longest, inputs.device), strict=True):
            yield padding.cut(inputs[part], most), targets[part]

    def loss(self, task: str) -> Loss:
        """loss(params, (inputs, targets)) -> (R,), in double precision."""
        logits = self.logits(task)

        def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
            inputs, targets = batch
            # Sharpness is a small difference of losses: their mean must not be rounded to floats.
            outputs = logits(params, inputs).double()  # (R, N, C)
            everyone = targets.expand(len(outputs), *targets.shape)
            return self._network.losses(task, outputs, everyone).mean(dim=1)

        return loss

    def logits(self, task: str) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
        """logits(params, inputs) -> (R, N, C)."""

        def logits(params: dict[str, Tensor], inputs: Tensor) -> Tensor:
            features = self._network.encode(params, inputs, per_replica=False, measured=task)
            return self._network.logits(task, features, measured=True)

        return logits

    def samples_labels(self, task: str) -> bool:
        """Whether the task's output is a distribution to draw labels from."""
        return settings.get(self.config.setting).task(task).samples_labels

    def labels_generator(self, task: str) -> Generator:
        """The source of the numbers that become labels."""
        return Generator().manual_seed(derived_seed(f"labels/{task}/{self._step}"))

    def label_numbers(self, task: str) -> Tensor:
        """(draws, N) uniform numbers, the very ones that ``factors.fisher_trace`` would use."""
        index, draws = self.partition("fisher", task), self.config.fisher_draws
        numbers = torch.rand((len(index), draws, MINI_BATCH), generator=self.labels_generator(task))
        placed = torch.zeros(draws, len(self.first(task)[1]))
        placed[:, index.flatten().cpu()] = numbers.transpose(0, 1).reshape(draws, -1)
        return placed.to(index.device)

    def partition(self, use: str, task: str) -> Tensor:
        """(m, MINI_BATCH) numbers of examples: disjoint random batches, others for each use."""
        _, targets = self.first(task)
        rng = np.random.default_rng(derived_seed(f"{use}/{task}/{self._step}"))
        batches = len(targets) // MINI_BATCH
        order = rng.permutation(len(targets))[: batches * MINI_BATCH]
        return torch.from_numpy(order.reshape(batches, MINI_BATCH)).to(targets.device)

    def random_batches(self, task: str) -> Tensor:
        """(similarity_batches, batch_size) numbers of examples, none twice in a batch."""
        _, targets = self.first(task)
        setting = settings.get(self.config.setting)
        # Tasks on one input meet on the same examples, as they do in a step.
        drawn_for = setting.name if setting.one_input else task
        rng = np.random.default_rng(derived_seed(f"similarity/{drawn_for}/{self._step}"))
        drawn = [
            rng.choice(len(targets), self.config.batch_size, replace=False)
            for _ in range(self.config.similarity_batches)
        ]
        return torch.from_numpy(np.stack(drawn)).to(targets.device)

    def true_gradients(self, task: str, replica: int) -> ExampleGradients:
        """Of the examples' losses with the true labels."""
        return self._by_example(task, replica)[0]

    def drawn_gradients(self, task: str, replica: int) -> list[ExampleGradients]:
        """Of the losses with drawn labels, one for each draw; with true ones if none are drawn."""
        return self._by_example(task, replica)[1:] or self._by_example(task, replica)

    def once(self, compute: Callable[[Site], Value]) -> Value:
        """``compute`` of this site, computed when first asked for."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(Value, self._known[compute])

    def _by_example(self, task: str, replica: int) -> list[ExampleGradients]:
        if (task, replica) not in self._gradients:
            self._gradients[task, replica] = self._passed(task, replica)
        return self._gradients[task, replica]

    def _passed(self, task: str, replica: int) -> list[ExampleGradients]:
        """With the true labels, then with each draw where Fisher is due; one pass gives all."""
        config, (inputs, targets) = self.config, self.first(task)
        weight, bias = self._head(task, replica)

        def true(features: Tensor, part: slice) -> Tensor:
            outputs = linear(features, weight, bias).unsqueeze(0)
            return self._network.losses(task, outputs, targets[part].unsqueeze(0)).sum()

        def drawn(numbers: Tensor, features: Tensor, part: slice) -> Tensor:
            log_p = torch.log_softmax(linear(features, weight, bias), dim=-1)
            labels = drawn_labels(log_p.detach(), numbers[part])
            return -log_p.gather(-1, labels.unsqueeze(-1)).sum()

        losses: list[Callable[[Tensor, slice], Tensor]] = [true]
        due = task == config.target or config.auxiliary_factors
        if due and "fisher_trace" in config.factors and self.samples_labels(task):
            losses += [partial(drawn, numbers) for numbers in self.label_numbers(task)]
        return layerwise.example_gradients(
            self._network.encoder, self._network.single(replica), inputs, losses
        )

    def _head(self, task: str, replica: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a replica's head."""
        heads = self._network.heads
        weight, bias = heads[f"heads.{task}.weight"], heads[f"heads.{task}.bias"]
        return weight[replica].detach(), bias[replica].detach()
