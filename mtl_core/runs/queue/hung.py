"""A worker that is stopped or hangs holds its lock for ever: noticing that, and ending it.

Only a process of this machine that was started as a worker and has the store's lock open is ended,
and only when neither it nor the heart of its runs has moved for long. What it had under way waits
for the next worker.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from mtl_core.runs.queue.store import Store
from mtl_core.watch import Watch, children

__all__ = ["Warden", "hand_back", "is_worker"]

_NAME = b"mtl_core.runs.queue"
"""Is on the command line of every worker."""


class Warden:
    """Looks at a store's worker now and then, and kills it when it has hung for long.

    Args:
        lock: the file that a worker holds locked while it lives.

    Attributes:
        killed: what was wrong with a worker that the last look has killed, to follow its name.
    """

    def __init__(self, store: Store, lock: Path) -> None:
        self.killed: str | None = None
        self._store = store
        self._lock = lock
        self._watch: Watch | None = None
        self._beat: float | None = None

    def look(self) -> str | None:
        """A line for people while the worker is stopped; None while it gets on, or was killed."""
        self.killed = None
        worker = self._store.worker()
        if worker is None:
            return None
        pid = int(worker["pid"])
        if self._watch is None or self._watch.pid != pid:
            self._watch, self._beat = Watch(pid), None
        words = self._watch.trouble(self)  # it always has something to do: to look for runs
        stopped = self._watch.condition == "stopped"
        if not (stopped or words) or not is_worker(pid, self._lock):
            self._beat = None
            return None
        beats = [run.heartbeat or 0.0 for run in self._store.runs(state="running")]
        newest = max(beats, default=0.0)
        before, self._beat = self._beat, newest
        if words is None or newest != before:
            said = f"the worker (process {pid}) is stopped; unless it goes on, another takes over"
            return f"{said} in some seconds" if stopped else None
        self.killed = words if _killed(pid, self._lock) else None
        return None if self.killed else f"the worker (process {pid}) {words}; end it"


def is_worker(pid: int, lock: Path) -> bool:
    """Whether a process here is a worker by its command line, and has this lock open."""
    try:
        there = lock.stat()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    if _NAME not in command:
        return False
    for name in names:
        with suppress(OSError):  # closed meanwhile
            opened = os.stat(f"/proc/{pid}/fd/{name}")
            if (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino):
                return True
    return False


def hand_back(store: Store, words: str) -> None:
    """Let the runs of a worker that was killed wait for the next one.

    One with which a second worker hangs at the same step fails.

    Args:
        words: what was wrong with the worker, to follow its name in a sentence.
    """
    left = store.runs(state="running")
    for run in left:
        where = "before its first step" if run.step < 0 else f"at step {run.step}"
        note = (
            f"the worker that carried out seed {run.seed} {words} {where} and was replaced; the "
            "seed went on from its last state, with the same values"
        )
        if note in store.notes(run.config):
            reason = f"two workers in a row hung with it {where}; resume to try again, or remove it"
            store.finish(run.key, str(run.worker), "failed", reason)
        else:
            store.describe(run.key, str(run.worker), run.info, [note])
    for worker in {str(run.worker) for run in left}:
        store.release(worker)


def _killed(pid: int, lock: Path) -> bool:
    """Kill a process if it is a worker; by a handle, which no other process can inherit."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or gone
        return False
    try:
        if not is_worker(pid, lock):
            return False
        own = children(pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        # They end when they see that it has; those that were stopped with it must go on for that.
        for child in own:
            with suppress(OSError):
                os.kill(child, signal.SIGCONT)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
