"""Starting the worker of a store, and noticing when it is gone."""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from mtl_core.runs.store import Store

__all__ = ["lock_path", "log_path", "tend", "worker_alive"]

_LOG_BYTES = 2**20
_started: dict[Path, "subprocess.Popen[bytes]"] = {}


def tend(store: Store) -> None:
    """See to it that the store has a worker, and that runs of a dead one are marked failed.

    Cheap enough for every rerun of a page.
    """
    lock = FileLock(lock_path(store.path), timeout=0)
    try:
        with lock:
            # Nobody serves the store, so whatever is called running has died.
            store.reap(_last_words(store.path))
    except Timeout:
        return
    starting = _started.get(store.path)
    if starting is None or starting.poll() is not None:
        _started[store.path] = _start(store.path)


def worker_alive(store: Store) -> bool:
    """Whether a worker serves the store."""
    try:
        with FileLock(lock_path(store.path), timeout=0):
            return False
    except Timeout:
        return True


def lock_path(store: Path) -> Path:
    """The lock that a worker holds while it lives."""
    return store.with_name(f"{store.name}.worker.lock")


def log_path(store: Path) -> Path:
    """Where a worker's output goes."""
    return store.with_name(f"{store.name}.worker.log")


def _start(store: Path) -> "subprocess.Popen[bytes]":
    log = log_path(store)
    mode = "wb" if log.exists() and log.stat().st_size > _LOG_BYTES else "ab"
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    with log.open(mode) as output:
        # A session of its own, so that neither Ctrl-C in the server's terminal nor the server's
        # end reaches it.
        return subprocess.Popen(
            [sys.executable, "-m", "mtl_core.runs.worker", "--store", str(store)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )


def _last_words(store: Path) -> str:
    """The last line that a worker wrote, unless it is only about the run's start."""
    try:
        lines = log_path(store).read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    ordinary = not lines or lines[-1].startswith(("worker ", "run "))
    return "" if ordinary else lines[-1][:200]
