"""The worker: the process that carries out queued runs, one at a time, and outlives the app.

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
import traceback
import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from filelock import Timeout

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError, TrainingDiverged
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs.queue.launch import hold_lock, last_words, lock_path
from mtl_core.runs.queue.records import AnyConfig, FrontRecord, Record, RunRecord
from mtl_core.runs.queue.store import Store
from mtl_core.training.devices import DEVICES, choose, title

if TYPE_CHECKING:
    from mtl_core.training.pool import ReplicaPool

__all__ = ["main"]

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 0.5
SNAPSHOT_BYTES = 8 * 2**20
"""A replica's state up to this size is saved with every slice of training."""
SNAPSHOT_SECONDS = 30.0
"""How often a larger state is saved."""
FRONT_SECONDS = 2.0
"""How often the solutions of a front are saved, up to ``SNAPSHOT_BYTES``."""
END_PAUSES = (0.5, 1.0, 2.0, 4.0, 0.0)
"""Waits between the attempts to write down how a run ended."""

_Outcome = Literal["done", "failed", "cancelled", "released"]


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
    try:
        store = Store(options.store)
        # Those who look whether the lock is free hold it for an instant.
        with hold_lock(store.path, timeout=3):
            worker = _Worker(store, options.device)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, worker.leave)
            worker.serve(options.idle_minutes * 60)
    except Timeout:
        return 0
    except InputError as error:
        _say(f"error: {error}")
        return 2
    return 0


class _Worker:
    def __init__(self, store: Store, device: str | None) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._store = store
        self._leaving = False
        self._lock = _identity(lock_path(store.path))
        # Whatever is still called running was left by a worker before this one.
        store.reap(last_words(store.path))
        # To be found by its pid at once; choosing a device may take seconds.
        store.enlist(self.name, "", "the worker is starting")
        self._device = choose(device)
        self._title = title(self._device)
        self._pool = _warm_pool() if self._device == "cpu" else None
        store.enlist(self.name, self._device, self._title)
        _say(f"worker {self.name} serves {store.path} on {self._title}")

    def leave(self, *_: object) -> None:
        """End soon, with the current run back in the queue; a signal handler."""
        self._leaving = True

    def serve(self, idle_seconds: float) -> None:
        last_busy = time.monotonic()
        while not self._leaving and time.monotonic() - last_busy < idle_seconds:
            if _identity(lock_path(self._store.path)) != self._lock:
                break  # somebody deleted the lock, so another worker may serve the store too
            if self._store.waiting() and (record := self._store.claim(self.name)):
                self._carry_out(record)
                last_busy = time.monotonic()
            else:
                time.sleep(POLL_SECONDS)
        _say(f"worker {self.name} leaves")

    def _carry_out(self, record: Record[AnyConfig]) -> None:
        run = record.id
        _say(f"run {run} starts: {record.config}")
        outcome: _Outcome = "failed"
        reason, pool_is_suspect = None, False
        try:
            with _Heart(self._store, run, self.name) as heart:
                if isinstance(record.config, ParetoConfig):
                    outcome = self._solve(cast(FrontRecord, record), heart)
                else:
                    outcome = self._train(cast(RunRecord, record), heart)
                if outcome == "done" and isinstance(record.config, RunConfig):
                    self._store.describe(run, self.name, _info(record, self._device))
        except (InputError, TrainingDiverged) as error:
            reason = str(error)
        except Exception as error:
            with suppress(OSError):  # the log's disk is full
                traceback.print_exc()
            what = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            reason = f"training stopped unexpectedly ({what}); resume to try again, or remove it"
            pool_is_suspect = True
        self._end(run, outcome if reason is None else "failed", reason)
        if pool_is_suspect:
            self._renew_pool()
        _say(f"run {run} ends")

    def _train(self, record: RunRecord, heart: "_Heart") -> "_Outcome":
        from mtl_core.training import train

        run = record.id
        saved_at: dict[tuple[int, ...], float] = {}
        steps = train(
            record.config, device=self._device, pool=self._pool, states=self._store.states(run)
        )
        with closing(steps):  # type: ignore[type-var]  # train is a generator
            for checkpoint in steps:
                # Only a state is worth stopping at; each slice of training ends with one.
                stopping = self._leaving or heart.verdict != "go on"
                stopping = stopping and checkpoint.state is not None
                if checkpoint.state is not None and _size(checkpoint.state) > SNAPSHOT_BYTES:
                    age = time.monotonic() - saved_at.get(checkpoint.seeds, -SNAPSHOT_SECONDS)
                    if stopping or age >= SNAPSHOT_SECONDS:
                        saved_at[checkpoint.seeds] = time.monotonic()
                    else:
                        checkpoint = replace(checkpoint, state=None)
                if not self._store.save(run, self.name, [checkpoint]):
                    return "cancelled"  # by whoever has it now
                if stopping:
                    return "cancelled" if heart.verdict == "cancel" else "released"
        return "done"

    def _solve(self, record: FrontRecord, heart: "_Heart") -> "_Outcome":
        from mtl_core.pareto import slices

        run, saved_at, most = record.id, time.monotonic(), FRONT_SECONDS
        # What is in closed form is faster on the CPU.
        device = "cpu" if record.config.definition.fingerprint is None else self._device
        # Now: a file may be replaced while it is solved for.
        self._store.describe(run, self.name, _info(record, device))
        steps = slices(
            record.config, device=device, states=self._store.states(run), pool=self._pool
        )
        with closing(steps):  # type: ignore[type-var]  # slices is a generator
            for part in steps:
                stopping = self._leaving or heart.verdict != "go on"
                states: dict[int, Any] = {}
                if stopping or time.monotonic() - saved_at >= most:
                    states, saved_at = part.states(), time.monotonic()
                    size = max(map(_size, states.values()))
                    most = FRONT_SECONDS if size <= SNAPSHOT_BYTES else SNAPSHOT_SECONDS
                if not (part.fronts or states):
                    continue
                if not self._store.save_frames(run, self.name, part.fronts, part.step, states):
                    return "cancelled"  # by whoever has it now
                if stopping:
                    return "cancelled" if heart.verdict == "cancel" else "released"
        return "done"

    def _end(self, run: str, outcome: "_Outcome", reason: str | None) -> None:
        """Write down how a run ended; with a full disk, for as long as it may get space again."""
        for pause in END_PAUSES:
            try:
                if outcome == "released":
                    self._store.release(run, self.name)
                else:
                    self._store.finish(run, self.name, outcome, reason)
                return
            except StoreError as error:
                problem = error
            time.sleep(pause)
        # The last words, which the next worker writes down.
        raise InputError(reason) if reason else problem

    def _renew_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = _warm_pool()


class _Heart:
    """Beats while a run is carried out, and hears whether it is still wanted."""

    def __init__(self, store: Store, run: str, worker: str) -> None:
        self.verdict: Literal["go on", "cancel", "lost"] = "go on"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(store, run, worker), daemon=True)

    def __enter__(self) -> "_Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self, store: Store, run: str, worker: str) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            # A store that cannot be written is for the training loop to report.
            with suppress(StoreError):
                self.verdict = store.beat(run, worker)


def _warm_pool() -> "ReplicaPool":
    from mtl_core.training.pool import ReplicaPool

    pool = ReplicaPool()
    pool.warm()
    return pool


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(state: Mapping[str, Any]) -> int:
    return sum(value.nbytes for value in state.values())


def _info(record: Record[AnyConfig], device: str) -> dict[str, Any]:
    from mtl_core.runs import front_artifacts
    from mtl_core.runs.library import artifacts

    try:
        if isinstance(record.config, ParetoConfig):
            return front_artifacts.provenance(record.config, device)
        return artifacts.provenance(record.config, device)
    except InputError:  # the data went away meanwhile; the numbers are there all the same
        return {}


def _say(line: str) -> None:
    with suppress(OSError):  # the log's disk is full
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
