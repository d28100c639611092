"""Things that are kept once they were made: as many as fit, those used last."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Kept"]

V = TypeVar("V")


class Kept(Generic[V]):
    """Values by key, for all threads of this process; at most so many, and so large.

    Args:
        most: the one that was asked for longest ago leaves where there are more.
        most_bytes: and where they are larger together.
        size: of a value, in bytes.

    >>> kept = Kept[int](most=2)
    >>> [kept.get(key, lambda: len(key)) for key in ("a", "bb", "ccc")]
    [1, 2, 3]
    >>> kept.get("bb", lambda: 0), kept.get("a", lambda: 0)
    (2, 0)
    """

    def __init__(
        self, most: int, most_bytes: int = 0, size: Callable[[V], int] = lambda value: 0
    ) -> None:
        self._most, self._most_bytes, self._size = most, most_bytes, size
        self._values: OrderedDict[Hashable, tuple[Hashable, V, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V], version: Hashable = None) -> V:
        """The value of a key, made if it is not there, or there in another version.

        Two threads may make it at once: a page does not wait for another one's.
        """
        with self._lock:
            if key in self._values and self._values[key][0] == version:
                self._values.move_to_end(key)
                return self._values[key][1]
        value = make()
        with self._lock:
            self._put(key, (version, value, self._size(value)))
        return value

    def clear(self) -> None:
        """Keep nothing of what was made so far."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def _put(self, key: Hashable, entry: tuple[Hashable, V, int]) -> None:
        self._bytes += entry[2] - self._values.pop(key, (None, None, 0))[2]
        self._values[key] = entry
        while len(self._values) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._values.popitem(last=False)[1][2]
