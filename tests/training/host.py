"""What a step that is captured must not do, and how tests see that it does it.

A CUDA graph repeats operations, and nothing that Python did between them: no number that was read
back to decide something, none that was drawn or written on the host.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {
    "_local_scalar_dense": "reads a number",
    "equal": "reads whether tensors are equal",
    "is_nonzero": "reads a number",
    "masked_select": "selects by a mask",
    "nonzero": "selects by a mask",
    "unique": "counts what there is",
    "_unique2": "counts what there is",
    "lift_fresh": "writes numbers of the host's",
    "_linalg_check_errors": "has the host look for errors",
    "_linalg_eigh": "has the host look for errors",
    "_linalg_svd": "has the host look for errors",
    "linalg_eig": "has the host look for errors",
    "_linalg_det": "has the host look for errors",
}
_HOST = ("cpu", "item", "numpy", "tolist", "__bool__", "__float__", "__int__", "__index__")


class _Watch(TorchDispatchMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if name in _WAITS:
            self._seen.append(f"{name} {_WAITS[name]}")
        if kwargs.get("generator") is not None:
            self._seen.append(f"{name} draws from a generator")
        if name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        ):
            self._seen.append(f"{name} selects by a mask")
        return func(*args, **kwargs)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Lists what is done meanwhile that no CUDA graph repeats."""
    seen: list[str] = []

    def telling(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def told(*args: Any, **kwargs: Any) -> Any:
            seen.append(f"{name} is called")
            return original(*args, **kwargs)

        return told

    with ExitStack() as stack:
        for owner, names in (
            (Tensor, _HOST),
            (torch, ("from_numpy", "randperm", "Generator")),
            (np.random, ("default_rng",)),
            (random, ("random", "shuffle", "randrange")),
        ):
            for name in names:
                told = telling(name, getattr(owner, name))
                stack.enter_context(patch.object(owner, name, told))
        stack.enter_context(_Watch(seen))
        yield seen
