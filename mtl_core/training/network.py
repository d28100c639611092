"""Stacked multi-task networks: a shared encoder and a head per task, R replicas at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mtl_core import settings
from mtl_core.config import Precision, RunConfig
from mtl_core.networks.batch_norm import has_batch_norm, population_statistics
from mtl_core.settings.base import Loss
from mtl_core.training.batches import derived_seed
from mtl_core.training.objectives import per_example
from mtl_core.training.precision import network as network_precision

__all__ = ["STATISTICS_EXAMPLES", "Network"]

STATISTICS_EXAMPLES = 512
"""Training examples, at most, that BatchNorm's population statistics are taken from: means over
batches are known to a few percent from some dozens (Wu & Johnson 2021, §3.2)."""

Part = TypeVar("Part", bound=nn.Module)


class Network:
    """R replicas of one architecture, parameters stacked along a leading dimension.

    Each part is initialised from the replica's seed and its own name only, so the encoder and the
    target's head start equal with any auxiliaries.

    With BatchNorm (``networks.batch_norm``) it has two modes. A step normalises every task's batch
    by the batch itself. Where a task is *measured* it is normalised by that task's population
    statistics, which ``settle`` takes from its training data: no example depends on another.

    Attributes:
        parameters: name -> (R, ...) leaf tensor; names start with ``encoder.`` or ``heads.TASK.``.
    """

    def __init__(self, config: RunConfig, seeds: Sequence[int], device: torch.device) -> None:
        setting = settings.get(config.setting)
        tasks = [setting.task(name) for name in config.tasks]
        heads: dict[str, Callable[[int], nn.Module]] = {}
        for task in tasks:
            if setting.head is None:
                heads[task.name] = partial(_linear, outputs=task.classes)
            else:
                heads[task.name] = partial(_given, head=setting.head, task=task)
        losses = {task.name: task.loss for task in tasks}
        encoder = partial(setting.encoder, config.width)
        self._build(encoder, heads, losses, seeds, device, config.precision)

    @classmethod
    def built(
        cls,
        encoder: Callable[[], nn.Module],
        classes: Mapping[str, int],
        seeds: Sequence[int],
        device: torch.device,
    ) -> "Network":
        """A network of no setting, whose tasks classify.

        Args:
            encoder: makes the shared module, which has the attribute ``features``.
            classes: task -> outputs of its head.
        """
        network = cls.__new__(cls)
        heads = {task: partial(_linear, outputs=outputs) for task, outputs in classes.items()}
        losses: dict[str, Loss] = dict.fromkeys(classes, "cross_entropy")
        network._build(encoder, heads, losses, seeds, device)
        return network

    @classmethod
    def joined(cls, parts: Sequence["Network"]) -> "Network":
        """The replicas of several networks as those of one.

        What moves its parameters moves theirs, which are views of them from now on.

        Args:
            parts: networks of one architecture, but for the names of their heads: the first task's
                head of one stands where that of another does. The new one has the first's names.
        """
        joined = copy(parts[0])
        # Each goes from training to measuring and back by itself.
        joined._encoder, joined._heads = deepcopy((parts[0]._encoder, parts[0]._heads))
        joined._statistics, joined._training = {}, None
        joined.parameters = {}
        rows = [len(next(iter(part.parameters.values()))) for part in parts]
        names = zip(*(part.parameters for part in parts), strict=True)
        for own in list(names):
            whole = torch.cat(
                [part.parameters[name].detach() for part, name in zip(parts, own, strict=True)]
            )
            for part, name, view in zip(parts, own, torch.split(whole, rows), strict=True):
                part.parameters[name] = view.detach().requires_grad_()
            joined.parameters[own[0]] = whole.requires_grad_()
        return joined

    def _build(
        self,
        build_encoder: Callable[[], nn.Module],
        build_heads: Mapping[str, Callable[[int], nn.Module]],
        losses: Mapping[str, Loss],
        seeds: Sequence[int],
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        replicas = []
        for seed in seeds:
            encoder = _seeded(f"{seed}/encoder", build_encoder)
            width = cast(int, encoder.features)
            parameters = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
            heads = {}
            for task, build in build_heads.items():
                head = heads[task] = _seeded(f"{seed}/head/{task}", partial(build, width))
                parameters |= {f"heads.{task}.{n}": p for n, p in head.named_parameters()}
            replicas.append(parameters)
        self._encoder = encoder
        # Linear heads, the usual ones, are one product for all replicas.
        self._heads = {t: head for t, head in heads.items() if type(head) is not nn.Linear}
        self._losses = dict(losses)
        self._rounding = partial(network_precision, precision, device)
        self._statistics: dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}
        self._training: bool | None = None
        parts = (encoder, *self._heads.values())
        self.mixes_examples = has_batch_norm(encoder)
        self._settles = any(map(has_batch_norm, parts))
        self.parameters: dict[str, Tensor] = {
            name: torch.stack([replica[name].detach() for replica in replicas])
            .to(device)
            .requires_grad_()
            for name in replicas[0]
        }

    @property
    def shared(self) -> dict[str, Tensor]:
        """θ: the encoder's parameters."""
        return {n: p for n, p in self.parameters.items() if n.startswith("encoder.")}

    @property
    def heads(self) -> dict[str, Tensor]:
        """φ: the parameters of all heads."""
        return {n: p for n, p in self.parameters.items() if n.startswith("heads.")}

    @property
    def linear_heads(self) -> bool:
        """Whether every head is a linear layer."""
        return not self._heads

    def settle(self, examples: Mapping[str, Tensor], batch_size: int) -> None:
        """Take the population statistics of every task at the present parameters.

        Nothing to do without BatchNorm.

        Args:
            examples: task -> its training inputs (N, ...).
            batch_size: of the run; what is left over is not used.
        """
        if not self._settles:
            return
        self._mode(training=True)
        known: dict[tuple[int, int], list[dict[str, Tensor]]] = {}
        for task, inputs in examples.items():
            batches = _batches(inputs, batch_size)
            head = self._heads.get(task)
            # Tasks on one input have the encoder's in common; a head's own take its features.
            key = (inputs.data_ptr(), len(inputs))
            shared = key in known and head is None
            modules = [self._encoder] if head is None else [self._encoder, head]
            found = []
            for replica in range(len(next(iter(self.parameters.values())))):
                if shared:
                    found.append([known[key][replica]])
                    continue
                params = [self.single(replica), self._head_of(task, replica)][: len(modules)]
                found.append(population_statistics(modules, params, batches))
            known[key] = [of[0] for of in found]
            stacked = [_stacked([of[i] for of in found]) for i in range(len(modules))]
            self._statistics[task] = (stacked[0], stacked[1] if head is not None else {})

    def features(self, inputs: Tensor, *, per_replica: bool, measured: str | None = None) -> Tensor:
        """Encode inputs with every replica.

        Args:
            inputs: (R, N, ...) if ``per_replica``, else (N, ...) seen by all.
            measured: the task that is measured; None for a batch of a step.

        Returns:
            (R, N, F), or maps (R, N, F, H, W).
        """
        return self.encode(self.shared, inputs, per_replica=per_replica, measured=measured)

    def features_of_tasks(self, inputs: Sequence[Tensor]) -> Tensor:
        """Features of a step's batches, one task after the other.

        Args:
            inputs: (R, B, ...) for each of K tasks, of which some may be shorter than others.

        Returns:
            (R, K B, F).
        """
        if len(inputs) == 1:
            return self.features(inputs[0], per_replica=True)
        if not self.mixes_examples and len({own.shape for own in inputs}) == 1:
            return self.features(torch.cat(list(inputs), dim=1), per_replica=True)
        if inputs[0].device.type == "cpu":
            return torch.cat([self.features(own, per_replica=True) for own in inputs], dim=1)
        return self._all_tasks_at_once(inputs)

    def encode(
        self,
        parameters: Mapping[str, Tensor],
        inputs: Tensor,
        *,
        per_replica: bool,
        measured: str | None = None,
    ) -> Tensor:
        """``features`` of other encoder parameters than the network's own: a function of them."""
        self._mode(training=measured is None)
        shared = {name.removeprefix("encoder."): p for name, p in parameters.items()}
        if len(next(iter(shared.values()))) == 1:
            # One replica, the case of every process on a CPU: vmap would only cost.
            single = {name: _image_layout(p.squeeze(0)) for name, p in shared.items()}
            single |= {n: s.squeeze(0) for n, s in self._of_encoder(measured).items()}
            images = inputs.squeeze(0) if per_replica else inputs
            return self._encoded(single, images).unsqueeze(0)
        stacked: Tensor = vmap(self._encoded, in_dims=(0, 0 if per_replica else None))(
            shared | self._of_encoder(measured), inputs
        )
        return stacked

    @property
    def encoder(self) -> nn.Module:
        """The architecture; its own parameters are never used."""
        return self._encoder

    def single(self, replica: int) -> dict[str, Tensor]:
        """θ of one replica, by the encoder's own names, in the layout that it is quickest in."""
        return {
            name.removeprefix("encoder."): _image_layout(p[replica].detach())
            for name, p in self.shared.items()
        }

    def logits(self, task: str, features: Tensor, *, measured: bool = False) -> Tensor:
        """Features (R, N, F, ...) -> what ``task``'s head puts out, (R, N, classes, ...)."""
        with self._arithmetic(stepping=not measured):
            outputs = self._put_out(task, features, measured)
        return _full(outputs)

    def losses(self, task: str, outputs: Tensor, targets: Tensor) -> Tensor:
        """(R, N) losses of ``task``'s outputs, see ``objectives.per_example``."""
        return per_example(self._losses[task], outputs, targets)

    def _put_out(self, task: str, features: Tensor, measured: bool) -> Tensor:
        if task not in self._heads:
            weight = self.parameters[f"heads.{task}.weight"]
            bias = self.parameters[f"heads.{task}.bias"]
            return torch.baddbmm(bias.unsqueeze(1), features, weight.mT)
        head = self._heads[task]
        head.train(not measured)

        def put_out(parameters: dict[str, Tensor], features: Tensor) -> Tensor:
            outputs: Tensor = functional_call(head, parameters, (features,))
            return outputs

        prefix = f"heads.{task}."
        own = {n.removeprefix(prefix): p for n, p in self._named(prefix)}
        if measured and task in self._statistics:
            own |= self._statistics[task][1]
        if len(features) == 1:
            single = {name: value.squeeze(0) for name, value in own.items()}
            return put_out(single, features.squeeze(0)).unsqueeze(0)
        outputs: Tensor = vmap(put_out)(own, features)
        return outputs

    def _all_tasks_at_once(self, inputs: Sequence[Tensor]) -> Tensor:
        self._mode(training=True)
        shared = {name.removeprefix("encoder."): p for name, p in self.shared.items()}
        over_tasks = vmap(self._encoded, in_dims=(None, 0))
        encoded: Tensor = vmap(over_tasks)(shared, torch.stack(list(inputs), dim=1))
        return encoded.flatten(1, 2)

    def _encoded(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        with self._arithmetic(stepping=bool(self._training)):
            features: Tensor = functional_call(self._encoder, parameters, (inputs,))
        return _full(features)

    def _arithmetic(self, *, stepping: bool) -> AbstractContextManager[object]:
        return self._rounding() if stepping else nullcontext()

    def _of_encoder(self, task: str | None) -> dict[str, Tensor]:
        return self._statistics[task][0] if task in self._statistics else {}

    def _mode(self, *, training: bool) -> None:
        if training is not self._training:
            self._encoder.train(training)
            self._training = training

    def _named(self, prefix: str) -> Iterable[tuple[str, Tensor]]:
        return ((name, p) for name, p in self.parameters.items() if name.startswith(prefix))

    def _head_of(self, task: str, replica: int) -> dict[str, Tensor]:
        prefix = f"heads.{task}."
        if task in self._heads:
            self._heads[task].train()
        return {n.removeprefix(prefix): p[replica].detach() for n, p in self._named(prefix)}


def _full(values: Tensor) -> Tensor:
    """Losses and what methods do with gradients are beyond half precision."""
    return values.float() if values.dtype == torch.bfloat16 else values


def _linear(features: int, *, outputs: int) -> nn.Module:
    return nn.Linear(features, outputs)


def _given(
    features: int, *, head: Callable[[int, settings.Task], nn.Module], task: settings.Task
) -> nn.Module:
    return head(features, task)


def _batches(inputs: Tensor, batch_size: int) -> list[Tensor]:
    """Full batches of the first examples; all of them where they are fewer than a batch."""
    first = inputs[:STATISTICS_EXAMPLES]
    size = min(batch_size, len(first))
    return list(torch.split(first[: len(first) // size * size], size))


def _stacked(replicas: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([of[name] for of in replicas]) for name in replicas[0]}


def _seeded(key: str, build: Callable[[], Part]) -> Part:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(key))
        return build()


def _image_layout(parameter: Tensor) -> Tensor:
    """Convolution weights channels-last on a CPU: pooling is then about four times as fast.

    A clone, since ``contiguous`` leaves a single input channel as it is, and everything after the
    first convolution follows the strides of its weights.
    """
    if parameter.ndim == 4 and parameter.device.type == "cpu":
        return parameter.clone(memory_format=torch.channels_last)
    return parameter
