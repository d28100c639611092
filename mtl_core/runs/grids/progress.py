"""Progress of a plan, on standard error: one moving line on a terminal, else a line a run."""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mtl_core.runs import kinds
from mtl_core.runs.kinds import Experiment

__all__ = ["Progress", "duration"]

_WIDTH = 24


def duration(seconds: float) -> str:
    """As people say it: 42 s, 7 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


class Progress:
    """How far a plan is. A context: it shows inside, where a terminal's line moves by itself.

    Time left is the cost that is left at the seconds which experiments of the same pace have taken
    for their cost so far, or all of them where none of that pace has had its turn yet.

    Args:
        tasks: all runs of the plan, as (experiment, seed).
        processes: how many are trained at once.
    """

    def __init__(self, tasks: Iterable[tuple[Experiment, int]], processes: int) -> None:
        tasks = list(tasks)
        self._left = {(config.id, seed) for config, seed in tasks}
        each = {config.id: (config, kinds.of(config)) for config, _ in tasks}
        self._cost_of = {run: kind.cost(config) for run, (config, kind) in each.items()}
        self._pace_of = {run: kind.pace(config) for run, (config, kind) in each.items()}
        self._total = len(self._left)
        self._whole_cost = self._cost_left()
        self.processes = processes
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._cost: defaultdict[str, float] = defaultdict(float)
        self._estimate: float | None = None
        self._at = time.monotonic()
        self._live = sys.stderr.isatty()
        self._shown = 0
        self._lock = threading.Lock()
        self._inside = False
        self._over = threading.Event()

    def __enter__(self) -> "Progress":
        self._inside = True
        self._show()
        if self._live:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        with self._lock:
            self._inside = False
            if self._live:
                print(file=sys.stderr, flush=True)

    def done(self, experiment: str, seed: int, seconds: float) -> None:
        """A run has reached its end, now or in an earlier call."""
        with self._lock:
            self._left.discard((experiment, seed))
            pace = self._pace_of[experiment]
            self._seconds[pace] += seconds
            self._cost[pace] += self._cost_of[experiment]
            self._estimate, self._at = self._seconds_left(), time.monotonic()
        self._show()

    def drop(self, experiment: str) -> None:
        """An experiment has failed; what is left of it is not waited for."""
        with self._lock:
            gone = {task for task in self._left if task[0] == experiment}
            self._left -= gone
            self._total -= len(gone)
            self._whole_cost -= len(gone) * self._cost_of[experiment]
            self._estimate, self._at = self._seconds_left(), time.monotonic()
        self._show()

    def text(self) -> str:
        """``4/9 runs, 44 %, 12 s left``."""
        done = self._total - len(self._left)
        words = f"{done}/{self._total} runs, {int(100 * self._share() + 1e-6)} %"
        if self._estimate is None:
            return words
        left = max(self._estimate - (time.monotonic() - self._at), 0.0)
        return f"{words}, {duration(left)} left"

    def _share(self) -> float:
        return 1 - self._cost_left() / self._whole_cost if self._left else 1.0

    def _cost_left(self) -> float:
        return sum(self._cost_of[run] for run, _ in self._left)

    def _seconds_left(self) -> float | None:
        spent, paid = sum(self._seconds.values()), sum(self._cost.values())
        if not paid:
            return None
        total = 0.0
        for run, _ in self._left:
            pace = self._pace_of[run]
            known = self._cost[pace]
            rate = self._seconds[pace] / known if known else spent / paid
            total += self._cost_of[run] * rate
        return total / self.processes

    def _tick(self) -> None:
        while not self._over.wait(1.0):
            self._show()

    def _show(self) -> None:
        with self._lock:
            if not self._inside:
                return
            text = self.text()
            if self._live:
                full = int(_WIDTH * self._share())
                line = f"[{'#' * full}{'.' * (_WIDTH - full)}] {text}"
                print(f"\r{line:{self._shown}}", end="", file=sys.stderr, flush=True)
                self._shown = len(line)
            else:
                print(text, file=sys.stderr, flush=True)
