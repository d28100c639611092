"""Stacked multi-task networks: a shared encoder and a linear head per task, R replicas at once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.training.batches import derived_seed

__all__ = ["Network"]

Part = TypeVar("Part", bound=nn.Module)


class Network:
    """R replicas of one architecture, parameters stacked along a leading dimension.

    Each part is initialised from the replica's seed and its own name only, so the encoder and the
    target's head start equal whatever auxiliaries there are.

    Attributes:
        parameters: name -> (R, ...) leaf tensor; names start with ``encoder.`` or ``heads.TASK.``.
    """

    def __init__(self, config: RunConfig, seeds: Sequence[int], device: torch.device) -> None:
        setting = settings.get(config.setting)
        classes = {name: setting.task(name).classes for name in config.tasks}
        self._build(partial(setting.encoder, config.width), classes, seeds, device)

    @classmethod
    def built(
        cls,
        encoder: Callable[[], nn.Module],
        classes: Mapping[str, int],
        seeds: Sequence[int],
        device: torch.device,
    ) -> "Network":
        """A network of no setting.

        Args:
            encoder: makes the shared module, which has the attribute ``features``.
            classes: task -> outputs of its head.
        """
        network = cls.__new__(cls)
        network._build(encoder, classes, seeds, device)
        return network

    def _build(
        self,
        build_encoder: Callable[[], nn.Module],
        classes: Mapping[str, int],
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        replicas = []
        for seed in seeds:
            encoder = _seeded(f"{seed}/encoder", build_encoder)
            width = cast(int, encoder.features)
            parameters = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
            for task, outputs in classes.items():
                head = _seeded(f"{seed}/head/{task}", partial(nn.Linear, width, outputs))
                parameters |= {f"heads.{task}.{n}": p for n, p in head.named_parameters()}
            replicas.append(parameters)
        self._encoder = encoder
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

    def features(self, inputs: Tensor, *, per_replica: bool) -> Tensor:
        """Encode inputs with every replica.

        Args:
            inputs: (R, N, ...) if ``per_replica``, else (N, ...) seen by all.

        Returns:
            (R, N, F).
        """
        return self.encode(self.shared, inputs, per_replica=per_replica)

    def encode(
        self, parameters: Mapping[str, Tensor], inputs: Tensor, *, per_replica: bool
    ) -> Tensor:
        """``features`` of other encoder parameters than the network's own: a function of them."""
        shared = {name.removeprefix("encoder."): p for name, p in parameters.items()}
        if len(next(iter(shared.values()))) == 1:
            # One replica, the case of every process on a CPU: vmap would only cost.
            single = {name: _image_layout(p.squeeze(0)) for name, p in shared.items()}
            images = inputs.squeeze(0) if per_replica else inputs
            encoded: Tensor = functional_call(self._encoder, single, (images,))
            return encoded.unsqueeze(0)

        def encode(parameters: dict[str, Tensor], images: Tensor) -> Tensor:
            features: Tensor = functional_call(self._encoder, parameters, (images,))
            return features

        stacked: Tensor = vmap(encode, in_dims=(0, 0 if per_replica else None))(shared, inputs)
        return stacked

    @property
    def encoder(self) -> nn.Module:
        """The architecture; its own parameters are of no consequence."""
        return self._encoder

    def single(self, replica: int) -> dict[str, Tensor]:
        """θ of one replica, by the encoder's own names, in the layout that it is quickest in."""
        return {
            name.removeprefix("encoder."): _image_layout(p[replica].detach())
            for name, p in self.shared.items()
        }

    def logits(self, task: str, features: Tensor) -> Tensor:
        """(R, N, F) features -> (R, N, classes) of ``task``'s head."""
        weight = self.parameters[f"heads.{task}.weight"]
        bias = self.parameters[f"heads.{task}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), features, weight.mT)


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
