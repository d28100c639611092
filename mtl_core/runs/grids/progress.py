"""Progress of a plan, on standard error: one moving line on a terminal, else a line a replica."""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs.queue.records import AnyConfig

__all__ = ["Progress", "cost", "duration"]

_WIDTH = 24


_FEW = 16
"""Examples that a step of a formula, or on all of a small table, costs as much as."""


def cost(config: AnyConfig) -> int:
    """What a replica is expected to cost, in examples that are differentiated."""
    if isinstance(config, ParetoConfig):
        examples = config.batch_size or config.samples or _FEW
        return config.iterations * config.solutions * examples * config.passes
    return config.steps * config.batch_size * len(config.tasks)


def duration(seconds: float) -> str:
    """As people say it: 42 s, 7 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


class Progress:
    """How far a plan is. A context: it shows inside, where a terminal's line moves by itself.

    Time left is the cost that is left at the seconds which the same setting or problem has taken
    for its cost so far, or all of them where it has not had its turn yet.

    Args:
        tasks: all replicas of the plan, as (config, seed).
        processes: how many are trained at once.
    """

    def __init__(self, tasks: Iterable[tuple[AnyConfig, int]], processes: int) -> None:
        self._left = {(config.id, seed): config for config, seed in tasks}
        self._total = len(self._left)
        self._whole_cost = self._cost_left()
        self.processes = processes
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._cost: defaultdict[str, int] = defaultdict(int)
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

    def done(self, config: AnyConfig, seed: int, seconds: float) -> None:
        """A replica has reached its end, now or in an earlier call."""
        with self._lock:
            self._left.pop((config.id, seed), None)
            self._seconds[_place(config)] += seconds
            self._cost[_place(config)] += cost(config)
            self._estimate, self._at = self._seconds_left(), time.monotonic()
        self._show()

    def drop(self, config: AnyConfig) -> None:
        """A config has failed; what is left of it is not waited for."""
        with self._lock:
            for seed in config.seeds:
                if self._left.pop((config.id, seed), None) is not None:
                    self._total -= 1
                    self._whole_cost -= cost(config)
            self._estimate, self._at = self._seconds_left(), time.monotonic()
        self._show()

    def text(self) -> str:
        """``4/9 replicas, 44 %, 12 s left``."""
        share = 1 - self._cost_left() / max(self._whole_cost, 1)
        words = f"{self._total - len(self._left)}/{self._total} replicas, {int(100 * share)} %"
        if self._estimate is None:
            return words
        left = max(self._estimate - (time.monotonic() - self._at), 0.0)
        return f"{words}, {duration(left)} left"

    def _cost_left(self) -> int:
        return sum(map(cost, self._left.values()))

    def _seconds_left(self) -> float | None:
        spent, paid = sum(self._seconds.values()), sum(self._cost.values())
        if not paid:
            return None
        total = 0.0
        for config in self._left.values():
            known = self._cost[_place(config)]
            rate = self._seconds[_place(config)] / known if known else spent / paid
            total += cost(config) * rate
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
                share = 1 - self._cost_left() / max(self._whole_cost, 1)
                full = int(_WIDTH * share)
                line = f"[{'#' * full}{'.' * (_WIDTH - full)}] {text}"
                print(f"\r{line:{self._shown}}", end="", file=sys.stderr, flush=True)
                self._shown = len(line)
            else:
                print(text, file=sys.stderr, flush=True)


def _place(config: AnyConfig) -> str:
    """What shares a speed: a setting or a problem."""
    if isinstance(config, ParetoConfig):
        return f"problem {config.problem}"
    return f"setting {config.setting}"
