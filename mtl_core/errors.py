"""Errors that a user can act on: one line that names the thing, the value and the way out."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DataMissing",
    "FactorUndefined",
    "InputError",
    "StoreError",
    "TrainingDiverged",
    "quoted",
    "unknown",
]


class InputError(ValueError):
    """Something that was asked for cannot be done as asked. Exit code 2 on the command line."""


class DataMissing(InputError):
    """A setting's data is not on this machine; the message says how to get it."""


class StoreError(InputError):
    """The run store cannot be read or written; the message says which file and why."""


class FactorUndefined(InputError):
    """A factor has no finite value at a point.

    Args:
        message: which factor, and why.
        values: one per replica, not finite where there is none.
    """

    def __init__(self, message: str, values: "Tensor") -> None:
        super().__init__(message)
        self.values = values


class TrainingDiverged(RuntimeError):
    """A training loss left the finite numbers. The rows measured before it stay valid.

    Args:
        message: what diverged where, and what to change.
        checkpoints: the results before it that were not handed out yet: checkpoints, fronts or
            pieces, as the function that raises it yields them.
    """

    def __init__(self, message: str, checkpoints: Sequence[Any] = ()) -> None:
        super().__init__(message, checkpoints)
        self.message = message
        self.checkpoints = checkpoints

    def __str__(self) -> str:
        return self.message


def unknown(kind: str, value: object, choices: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry."""
    return InputError(f"unknown {kind} {quoted(value)}; one of: {', '.join(choices)}")


def quoted(value: object, most: int = 60) -> str:
    """A value as it goes into a message: on one line, and cut when it is very long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
