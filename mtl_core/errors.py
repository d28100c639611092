"""Errors that a user can act on: one line that names the thing, the value and the way out."""

from collections.abc import Iterable

__all__ = ["DataMissing", "InputError", "StoreError", "TrainingDiverged", "unknown"]


class InputError(ValueError):
    """Something that was asked for cannot be done as asked. Exit code 2 on the command line."""


class DataMissing(InputError):
    """A setting's data is not on this machine; the message says how to get it."""


class StoreError(InputError):
    """The run store cannot be read or written; the message says which file and why."""


class TrainingDiverged(RuntimeError):
    """A training loss left the finite numbers. The rows measured before it stay valid."""


def unknown(kind: str, value: object, choices: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry."""
    return InputError(f"unknown {kind} {value!r}; one of: {', '.join(choices)}")
