"""A process beside the server's, for what needs PyTorch while a reader waits."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from threading import Lock
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mtl_core.views.turns import given_up

if TYPE_CHECKING:
    from mtl_core.training.pool import ReplicaPool

__all__ = ["aside"]

P = ParamSpec("P")
R = TypeVar("R")

IDLE_SECONDS = 600.0
"""After which the process ends and gives back its half gigabyte; the next call starts another."""

_made: list["ReplicaPool"] = []
_making = Lock()


def aside(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a module's function returns, called in that process.

    The server neither loads PyTorch for it, which would stay for good, nor keeps other visitors
    waiting while it computes. Should the process have died, another one is asked, once.
    """
    with given_up():
        pool = _pool()
        try:
            return pool.call(function, *args, **kwargs).result()
        except BrokenExecutor:
            return _pool(instead_of=pool).call(function, *args, **kwargs).result()


def _pool(instead_of: "ReplicaPool | None" = None) -> "ReplicaPool":
    from mtl_core.training.pool import ReplicaPool

    with _making:  # of many visitors who find it broken one replaces it
        if not _made or _made[0] is instead_of:
            _made[:] = [ReplicaPool(1, rehearse=False, idle_seconds=IDLE_SECONDS)]
        return _made[0]
