"""A module as a function of its parameters, and where these start."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["applied", "started"]


def applied(build: Callable[[], nn.Module]) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """The outputs of the module that ``build`` makes, as a function of parameters and inputs.

    The module must have no buffers and draw no numbers; its own parameters have no values.
    """
    with torch.device("meta"):
        module = build()

    def outputs(parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        found: Tensor = functional_call(module, dict(parameters), (inputs,), strict=True)
        return found

    return outputs


def started(
    build: Callable[[], nn.Module], device: torch.device
) -> Callable[[torch.Generator], dict[str, Tensor]]:
    """A function of a generator: PyTorch's own initialisation, a draw of the generator its seed."""

    def start(generator: torch.Generator) -> dict[str, Tensor]:
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build()
        return {name: p.detach().to(device) for name, p in module.named_parameters()}

    return start
