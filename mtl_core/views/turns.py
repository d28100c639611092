"""Turns: one script at a time, in the order in which visitors asked.

Every message that a script sends takes locks of Streamlit's and of Python's. Dozens of scripts that
run at once hand these on to one another far more slowly than they could run one by one, since of
their Python only one runs at a time anyhow. ``benchmarks/load.py`` measures what it is worth.
"""

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

__all__ = ["Turns", "given_up", "in_turn"]

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_SECONDS = 1.0
"""How long a script keeps others waiting; most take a tenth of it."""


class Turns:
    """Lets threads in one after the other, first come, first served.

    A thread that is in for longer than ``patience`` seconds, such as one that waits for a file or
    another process, does not count any more: the next comes in beside it. So nobody is kept out for
    ever, whatever another does.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._since: dict[int, float] = {}
        """Who is in, by thread, and since when."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Inside it is this thread's turn; it may take it again in there."""
        me = threading.get_ident()
        if me in self._since:
            yield
            return
        self._enter(me)
        try:
            yield
        finally:
            self._leave(me)

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Inside it this thread does not count; afterwards it waits for another turn."""
        me = threading.get_ident()
        if me not in self._since:
            yield
            return
        self._leave(me)
        try:
            yield
        finally:
            self._enter(me)

    def _enter(self, me: int) -> None:
        called = threading.Event()
        with self._lock:
            self._waiting.append(called)
        try:
            while (rest := self._rest(me, called)) > 0:
                called.wait(rest)
                called.clear()
        except BaseException:
            with self._lock:
                if called in self._waiting:
                    self._waiting.remove(called)
            raise

    def _rest(self, me: int, called: threading.Event) -> float:
        """How long to wait before looking again; after 0 it is this thread's turn."""
        with self._lock:
            if self._waiting[0] is not called:
                return self._patience
            free = max(self._since.values(), default=float("-inf")) + self._patience
            rest = free - time.monotonic()
            if rest <= 0:
                self._waiting.popleft()
                self._since[me] = time.monotonic()
            return rest

    def _leave(self, me: int) -> None:
        with self._lock:
            self._since.pop(me, None)  # not in, where its next turn was interrupted
            if self._waiting:
                self._waiting[0].set()


_scripts = Turns()


def in_turn(function: Callable[P, R]) -> Callable[P, R]:
    """A function that takes its turn among all scripts of this server, for app.py and fragments."""

    @functools.wraps(function)
    def taking_turns(*args: P.args, **kwargs: P.kwargs) -> R:
        with _scripts.taken():
            return function(*args, **kwargs)

    return taking_turns


def given_up() -> AbstractContextManager[None]:
    """While this script waits for another process, it is the next one's turn."""
    return _scripts.given_up()
