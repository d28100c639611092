"""PyTorch's Adam and SGD as they are, without the import of its compiler.

Their first step, and even their making, imports ``torch._dynamo`` and all that it takes, to tell a
compiler of what it is not to compile. Nothing is compiled here, and every process that
trains would wait for it, half as long as for PyTorch's own import.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

__all__ = ["SGD", "Adam"]


def _bare(method: Callable[..., Any]) -> Any:
    """A method without what is said around it to a compiler; itself where nothing is."""
    return inspect.unwrap(method)


class Adam(torch.optim.Adam):
    """``torch.optim.Adam``; its numbers are the same to the last bit."""

    add_param_group = _bare(Optimizer.add_param_group)
    step = torch.no_grad()(_bare(torch.optim.Adam.step))


class SGD(torch.optim.SGD):
    """``torch.optim.SGD``; its numbers are the same to the last bit."""

    add_param_group = _bare(Optimizer.add_param_group)
    step = torch.no_grad()(_bare(torch.optim.SGD.step))
