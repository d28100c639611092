"""Starting the worker of a store, and noticing when it is gone."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mtl_core.errors import StoreError
from mtl_core.processes import start_module
from mtl_core.runs.queue.hung import Warden, hand_back
from mtl_core.runs.queue.store import Store

__all__ = ["hold_lock", "last_words", "lock_path", "log_path", "tend", "worker_alive"]

_LOG_BYTES = 2**20
_SHORT_LIFE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 60.0
_END_SECONDS = 5.0
"""How long a process that was killed may take to be gone."""
_WORDS = re.compile(r"error: |Fatal Python error|terminate called|[\w.]*(Error|Exception)\b")


@dataclass
class _Started:
    process: "subprocess.Popen[bytes]"
    at: float
    failures: int
    """Workers before it that ended badly soon after their start."""
    seen_dead_at: float | None = None


_started: dict[Path, _Started] = {}
_wardens: dict[Path, Warden] = {}
_tending = threading.Lock()


def tend(store: Store) -> str | None:
    """See to it that the store has a worker, and that runs of a dead one are marked failed.

    A worker that is stopped or hangs for long is replaced, and its runs go on.

    Cheap enough for every rerun of a page, and safe in any number of threads and processes.

    Returns:
        None, or a line for people on why nothing can be trained now.
    """
    with _tending:
        try:
            with hold_lock(store.path):
                # No worker serves the store, so the runs that are called running have died.
                store.reap(last_words(store.path))
            return _start(store.path)
        except Timeout:
            return _look_after(store)
        except StoreError as error:
            return str(error)


def worker_alive(store: Store) -> bool:
    """Whether a worker serves the store. Raises StoreError where that cannot be found out."""
    try:
        with hold_lock(store.path):
            return False
    except Timeout:
        return True


@contextmanager
def hold_lock(store: Path, timeout: float = 0) -> Iterator[None]:
    """Hold the lock that a worker holds while it lives.

    Raises:
        filelock.Timeout: when another holds it for longer than ``timeout`` seconds.
        StoreError: when it cannot be made.
    """
    path = lock_path(store)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise StoreError(
            f"lock {path} cannot be used ({error}); make its folder writable, or set MTL_STORE to "
            "a file in another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def lock_path(store: Path) -> Path:
    """The lock that a worker holds while it lives."""
    return store.with_name(f"{store.name}.worker.lock")


def log_path(store: Path) -> Path:
    """Where a worker's output goes."""
    return store.with_name(f"{store.name}.worker.log")


def last_words(store: Path) -> str:
    """What the last worker died of, as far as it could say; empty when it was just killed."""
    try:
        lines = log_path(store).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.startswith(("worker ", "run ")):
            return ""  # the ordinary course of things
        if _WORDS.match(line):
            return line.removeprefix("error: ")[:300]
    return ""


def _look_after(store: Store) -> str | None:
    """Look whether the worker that holds the lock gets on, and replace it if it does not."""
    warden = _wardens.setdefault(store.path, Warden(store, lock_path(store.path)))
    try:
        said = warden.look()
        if warden.killed is None:
            return said
        if before := _started.pop(store.path, None):
            with suppress(subprocess.TimeoutExpired):
                before.process.wait(_END_SECONDS)
        with hold_lock(store.path, _END_SECONDS):
            hand_back(store, warden.killed)
        return _start(store.path)
    except Timeout:
        return None  # it takes its time to end, or another has taken over already
    except StoreError as error:
        return str(error)


def _start(store: Path) -> str | None:
    """Start a worker, unless one is starting or the ones before it ended badly just now."""
    now, failures = time.monotonic(), 0
    if before := _started.get(store):
        code = before.process.poll()
        if code is None:
            return None  # it is about to take the lock
        before.seen_dead_at = before.seen_dead_at or now
        if code != 0 and before.seen_dead_at - before.at < _SHORT_LIFE_SECONDS:
            failures = before.failures + 1
            pause = before.at + min(2.0**failures, _LONGEST_PAUSE_SECONDS) - now
            if pause > 0:
                said = last_words(store) or f"it ended with code {code}"
                return (
                    f"no worker stays alive ({said}); trying again in {pause:.0f} s, its output "
                    f"is in {log_path(store)}"
                )
    log = log_path(store)
    try:
        mode = "wb" if log.exists() and log.stat().st_size > _LOG_BYTES else "ab"
        with log.open(mode) as output:
            process = start_module(
                "mtl_core.runs.queue.worker", "--store", str(store), output=output, detached=True
            )
    except OSError as error:
        raise StoreError(
            f"no worker can be started ({error}); make {log.parent} writable, or set MTL_STORE to "
            "a file in another folder"
        ) from error
    _started[store] = _Started(process, now, failures)
    return None
