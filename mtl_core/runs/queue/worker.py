"""The worker: the process that carries out queued runs in lockstep, and outlives the app.

    python -m mtl_core.runs.queue.worker --store FILE

One worker serves a store: it holds a lock on ``FILE.worker.lock`` for as long as it lives, so
whether there is one is never a guess. It leaves when it has had nothing to do for a while.
"""

import argparse
import faulthandler
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import Timeout

from mtl_core.data import own
from mtl_core.errors import InputError, StoreError
from mtl_core.runs.queue.launch import hold_lock, last_words, lock_path
from mtl_core.runs.queue.lockstep import Lockstep
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.slices import Carrier, Processes, Stacks
from mtl_core.runs.queue.store import Store
from mtl_core.training.devices import DEVICES, choose, title

__all__ = ["Worker", "main"]

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 0.5
SILENT_SECONDS = 60.0
"""The heart falls silent when the main loop has not come round for so long."""
LEAVE_SECONDS = 60.0
"""How long a worker that is asked to leave may take, with large states on a slow disk."""
END_SECONDS = 3.0
"""How long its process may take to end once its work is done."""


def main(arguments: list[str] | None = None) -> int:
    """Serve a store until idle for too long.

    Returns:
        0, also when the store is served already; 2 when it cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mtl_core.runs.queue.worker", description=__doc__
    )
    parser.add_argument("--store", help="the store's file (default: MTL_STORE or the user's)")
    parser.add_argument("--device", choices=DEVICES, help="default: the best there is")
    parser.add_argument("--idle-minutes", type=float, default=30.0)
    options = parser.parse_args(arguments)
    faulthandler.enable()
    own.only()  # what is queued may come from a link that anybody wrote
    try:
        store = Store(options.store)
        # Those who look whether the lock is free hold it for an instant.
        with hold_lock(store.path, timeout=3):
            worker = Worker(store, options.device)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, worker.leave)
            worker.serve(options.idle_minutes * 60)
    except Timeout:
        return 0
    except InputError as error:
        _say(f"error: {error}")
        return 2
    return 0


class Worker:
    """Serves a store from this process.

    Args:
        device: ``cpu`` or ``cuda``; default the best there is.
        carrier: makes what carries slices out on a device; default a pool of processes on a CPU,
            stacks on a GPU.
    """

    def __init__(
        self,
        store: Store,
        device: str | None = None,
        carrier: Callable[[str], Carrier] | None = None,
    ) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._store = store
        self._leaving = False
        self._lock = _identity(lock_path(store.path))
        # Runs that are still called running were left by a worker before this one.
        store.reap(last_words(store.path))
        # To be found by its pid at once; choosing a device may take seconds.
        store.enlist(self.name, "", "the worker is starting")
        device = choose(device)
        self._carrier = (carrier or _carrier)(device)
        self._lockstep = Lockstep(store, self.name, device, self._carrier)
        store.enlist(self.name, device, title(device))
        _say(f"worker {self.name} serves {store.path} on {title(device)}")

    def leave(self, *_: object) -> None:
        """End soon, with the runs that are going on back in the queue; a signal handler."""
        self._leaving = True
        # Whoever asked will not wait for ever; where it hung, the log says.
        faulthandler.dump_traceback_later(LEAVE_SECONDS, exit=True)

    def serve(self, idle_seconds: float) -> None:
        """Carry out what is queued, until nothing has been for so many seconds."""
        last_busy = time.monotonic()
        with self._store.held(), _Heart(self._store, self.name) as heart:
            while not self._leaving and time.monotonic() - last_busy < idle_seconds:
                if _identity(lock_path(self._store.path)) != self._lock:
                    break  # somebody deleted the lock: another worker may serve the store too
                if self._store.waiting():
                    claimed = self._store.claim(self.name)
                    for record in claimed:
                        heart.told.pop(record.key, None)  # said of an attempt before this one
                    self._lockstep.add(claimed)
                going = self._lockstep.going
                self._lockstep.turn(heart.told, POLL_SECONDS)
                heart.turned_at = time.monotonic()
                if going:
                    last_busy = heart.turned_at
            self._lockstep.rest()
        self._carrier.close()
        _say(f"worker {self.name} leaves")


class _Heart:
    """Beats while runs are carried out, and hears which are still wanted.

    Attributes:
        turned_at: when the main loop came round last. One that hangs must not seem alive.
    """

    def __init__(self, store: Store, worker: str) -> None:
        self.turned_at = time.monotonic()
        self.told: dict[Key, bool] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(store, worker), daemon=True)

    def __enter__(self) -> "_Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self, store: Store, worker: str) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if time.monotonic() - self.turned_at > SILENT_SECONDS:
                continue
            # A store that cannot be written is for the main loop to report.
            with suppress(StoreError):
                self.told = store.beat(worker)


def _carrier(device: str) -> Carrier:
    if device != "cpu":
        return Stacks()
    from mtl_core.training.pool import ReplicaPool

    pool = ReplicaPool()
    pool.warm()
    return Processes(pool)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _say(*words: Any) -> None:
    with suppress(OSError):  # the log's disk is full
        print(*words, flush=True)


def _end(code: int) -> None:
    """End this process. All is written: a thread of the pool that hangs must not hold it."""

    def at_last() -> None:
        faulthandler.dump_traceback()
        os._exit(code)

    late = threading.Timer(END_SECONDS, at_last)
    late.daemon = True
    late.start()
    faulthandler.cancel_dump_traceback_later()
    sys.exit(code)


if __name__ == "__main__":
    _end(main())
