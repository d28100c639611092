"""Signs of life of another process: one that is stopped or dead-locked uses no CPU time, one that
is merely slow does, on however loaded a machine."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["SEES", "Condition", "Sign", "Watch", "children", "sign"]

STOPPED_SECONDS = 10.0
"""How long a process may be stopped before it is given up; who looks into one takes less."""
QUIET_SECONDS = 120.0
QUIET_CPU = 0.05
"""A process that used less than so many seconds of CPU time in so many seconds does nothing. Its
threads that only wait for something use a tenth of that; a slow download uses more."""
DEAD_SECONDS = 0.5
"""How long a dead process may be in the list: one that was asked to end is about to leave it."""
BLIND_SECONDS, BLIND_TIMES = 3600.0, 20.0
"""Where nothing can be seen of a process: so long, or so many times its longest work so far."""
LONGEST_LOOK = 1.0
"""More than this does not count between two looks: who looks may have been stopped itself."""

_PROC = Path("/proc")
SEES = (_PROC / "self" / "stat").exists()
"""Whether this machine shows what its processes do."""


@dataclass(frozen=True)
class Sign:
    """What is seen of a process.

    Args:
        state: R runs or could, D waits for a disk, S waits, T is stopped, Z is dead, …
        cpu: seconds of CPU time that it has used.
        parent: the id of its parent.
    """

    state: str
    cpu: float
    parent: int = 0


def sign(pid: int) -> Sign | None:
    """What is seen of a process in /proc; None when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    found = text.rpartition(")")[2].split()  # its name may have spaces and brackets
    ticks = os.sysconf("SC_CLK_TCK")
    return Sign(found[0], (int(found[11]) + int(found[12])) / ticks, int(found[1]))


def children(pid: int) -> list[int]:
    """Processes that a process has started and that have not ended; none where /proc is not."""
    if not SEES:
        return []
    every = (int(path.name) for path in _PROC.iterdir() if path.name.isdecimal())
    return [one for one in every if (seen := sign(one)) is not None and seen.parent == pid]


Condition = Literal["well", "quiet", "stopped", "dead"]


class Watch:
    """Watches one process, each time that it is asked what is wrong.

    Args:
        look: what is seen of the process now; None when it is gone.
        sees: whether ``look`` can see anything on this machine.

    Attributes:
        condition: what it looked like last.
        seconds: for how long it has looked so.
    """

    def __init__(
        self,
        pid: int,
        *,
        look: Callable[[int], Sign | None] = sign,
        sees: bool = SEES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pid = pid
        self.condition: Condition = "well"
        self.seconds = 0.0
        self._look = look
        self._sees = sees
        self._clock = clock
        self._looked_at = clock()
        self._cpu = 0.0
        self._work: object = None
        self._longest = 0.0

    def trouble(self, work: object) -> str | None:
        """What is wrong with the process, to follow its name in a sentence; None while it gets on.

        Args:
            work: what it has to do, None for nothing: a process without work may do nothing.
        """
        now = self._clock()
        passed, self._looked_at = now - self._looked_at, now
        if not self._sees:
            return self._late(work, passed)
        condition = self._seen(work)
        if condition != self.condition:
            self.condition, self.seconds = condition, 0.0
        else:
            self.seconds += min(passed, LONGEST_LOOK)
        if condition == "dead" and self.seconds >= DEAD_SECONDS:
            return "died"
        if condition == "stopped" and self.seconds >= STOPPED_SECONDS:
            return "was stopped"
        if condition == "quiet" and self.seconds >= QUIET_SECONDS:
            return f"did nothing for {self.seconds:.0f} s"
        return None

    def _seen(self, work: object) -> Condition:
        seen = self._look(self.pid)
        if seen is None or seen.state in "ZXx":
            return "dead"
        if seen.state == "T":
            return "stopped"
        # What waits for a core, a disk or a debugger is not to blame.
        if work is not self._work or seen.state in "RDt" or seen.cpu - self._cpu >= QUIET_CPU:
            self._work, self._cpu = work, seen.cpu
            return "well"
        return "well" if work is None else "quiet"

    def _late(self, work: object, passed: float) -> str | None:
        if work is not self._work:
            self._longest = max(self._longest, self.seconds)
            self._work, self.seconds = work, 0.0
        elif work is not None:
            self.seconds += passed
        allowed = max(BLIND_SECONDS, BLIND_TIMES * self._longest)
        return f"did not come back within {self.seconds:.0f} s" if self.seconds > allowed else None
