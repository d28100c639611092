"""URLs: a page's question as query parameters. What is not understood falls back and is named."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from mtl_core.errors import InputError, unknown

__all__ = ["Reader", "first_few"]

Value = TypeVar("Value")
_MOST_PROBLEMS = 8


class Reader:
    """Reads parameters one by one.

    Attributes:
        problems: a line for each that could not be understood, in the order of reading.
    """

    def __init__(self, query: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._query = query

    def read(self, name: str, parse: Callable[[str], Value], default: Value, shown: str) -> Value:
        """A parameter's value; ``default``, which a page calls ``shown``, without or if wrong."""
        if name not in self._query:
            return default
        try:
            return parse(self._query[name])
        except InputError as error:
            self.problems.append(f"in the URL, {name}: {error}; using {shown} instead")
            return default

    def foreign(self, known: Iterable[str]) -> list[str]:
        """A line for each parameter that there is no such thing as."""
        known = list(known)
        return [
            f"in the URL, {unknown('parameter', name, known)}; ignored"
            for name in self._query
            if name not in known
        ]


def first_few(problems: list[str]) -> list[str]:
    """As many lines as fit on a page."""
    more = len(problems) - _MOST_PROBLEMS
    return problems if more <= 0 else [*problems[:_MOST_PROBLEMS], f"and {more} more such"]
