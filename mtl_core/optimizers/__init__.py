"""Multi-task optimizers: how task gradients are combined. One file per method, listed here.

Every method is a weighting: the shared parameters move along Σ_k weights[k] · grad_k, while each
task's own head gets its own unweighted gradient.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mtl_core.errors import InputError, unknown
from mtl_core.optimizers.base import Method
from mtl_core.optimizers.mean import Mean
from mtl_core.optimizers.umtg import UMTG

__all__ = ["Method", "create", "names"]

_METHODS: Mapping[str, Callable[..., Method]] = {
    "umtg": UMTG,
    "mean": Mean,
}


def names() -> list[str]:
    """All methods, the paper's baseline first."""
    return list(_METHODS)


def create(name: str, /, *, num_tasks: int, **options: Any) -> Method:
    """A fresh method for one run.

    Raises:
        InputError: for an unknown name or option, or an option out of its range.
    """
    try:
        method = _METHODS[name]
    except (KeyError, TypeError):
        raise unknown("optimizer", name, _METHODS) from None
    try:
        return method(num_tasks, **options)
    except TypeError:
        raise InputError(
            f"optimizer {name!r} does not take the options {', '.join(sorted(options))}; leave "
            "them out"
        ) from None
