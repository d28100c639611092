"""How far a command is: a moving line on a terminal, else a line now and then."""

import sys
import time

from mtl_core.runs.grids.progress import duration

__all__ = ["Progress"]

_PAUSE = 30.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """How many steps of a command are done, and the time that is left at the pace so far.

    Args:
        total: its steps.
        done: those that an earlier call took.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self._total, self._begun = total, done
        self._started = self._said = time.monotonic()
        self._live = sys.stderr.isatty()
        self._width = 0

    def show(self, done: int) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if not self._live and now - self._said < _PAUSE:
            return
        self._said = now
        moved = max(done - self._begun, 1)
        left = (now - self._started) * (self._total - done) / moved
        text = f"{int(100 * done / self._total)} %, {duration(left)} left"
        start, end = ("\r", "") if self._live else ("", "\n")
        print(f"{start}{text:{self._width}}", end=end, file=sys.stderr, flush=True)
        self._width = len(text) if self._live else 0

    def end(self) -> None:
        """End a terminal's line."""
        if self._live and self._width:
            print(file=sys.stderr)
