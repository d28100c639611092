"""The worker: the process that carries out queued runs, one at a time, and outlives the app.

    python -m mtl_core.runs.worker --store FILE

One worker serves a store: it holds a lock on ``FILE.worker.lock`` for as long as it lives, so
whether there is one is never a guess. It leaves when it has had nothing to do for a while.
"""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs.launch import lock_path
from mtl_core.runs.store import RunRecord, Store

if TYPE_CHECKING:
    from mtl_core.training.pool import ReplicaPool

__all__ = ["main"]

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0
SNAPSHOT_BYTES = 8 * 2**20
"""A replica's state up to this size is saved with every slice of training."""
SNAPSHOT_SECONDS = 30.0
"""How often a larger state is saved."""


def main(arguments: list[str] | None = None) -> int:
    """Serve a store until idle for too long; 0 also when it is served already."""
    parser = argparse.ArgumentParser(prog="python -m mtl_core.runs.worker", description=__doc__)
    parser.add_argument("--store", help="the store's file (default: MTL_STORE or the user's)")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the best there is")
    parser.add_argument("--idle-minutes", type=float, default=30.0)
    options = parser.parse_args(arguments)
    store = Store(options.store)
    try:
        # Those who look whether the lock is free hold it for an instant.
        with FileLock(lock_path(store.path), timeout=3):
            signal.signal(signal.SIGTERM, _leave)
            _Worker(store, options.device).serve(options.idle_minutes * 60)
    except Timeout:
        return 0
    return 0


def _leave(*_: object) -> None:
    raise SystemExit(0)


class _Worker:
    def __init__(self, store: Store, device: str | None) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._store = store
        # Whatever is still called running was left by a worker before this one.
        store.reap()
        self._pool: ReplicaPool | None = None
        self.device, title = _device(device)
        if self.device == "cpu":
            self._pool = _warm_pool()
        store.enlist(self.name, self.device, title)
        print(f"worker {self.name} serves {store.path} on {title}", flush=True)

    def serve(self, idle_seconds: float) -> None:
        last_busy = time.monotonic()
        while time.monotonic() - last_busy < idle_seconds:
            if self._store.waiting() and (record := self._store.claim(self.name)):
                self._carry_out(record)
                last_busy = time.monotonic()
            else:
                time.sleep(POLL_SECONDS)
        print(f"worker {self.name} leaves: nothing to do", flush=True)

    def _carry_out(self, record: RunRecord) -> None:
        run = record.id
        print(f"run {run} starts: {record.config}", flush=True)
        try:
            with _Heart(self._store, run, self.name) as heart:
                finished = self._train(record, heart)
                if finished:
                    self._store.describe(run, self.name, _info(record, self.device))
        except (InputError, TrainingDiverged) as error:
            self._store.finish(run, self.name, "failed", str(error))
        except (SystemExit, KeyboardInterrupt):
            self._store.release(run, self.name)
            raise
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            self._store.finish(
                run, self.name, "failed", f"training stopped unexpectedly: {reason}; resume to retry"
            )
            self._renew_pool()
        else:
            self._store.finish(run, self.name, "done" if finished else "cancelled")
        print(f"run {run} ends", flush=True)

    def _train(self, record: RunRecord, heart: "_Heart") -> bool:
        """Whether the run got to its end."""
        from dataclasses import replace

        from mtl_core.training import train

        run, saved_at = record.id, 0.0
        steps = train(
            record.config, device=self.device, pool=self._pool, states=self._store.states(run)
        )
        for checkpoint in steps:
            if checkpoint.state is not None and _size(checkpoint.state) > SNAPSHOT_BYTES:
                if time.monotonic() - saved_at < SNAPSHOT_SECONDS:
                    checkpoint = replace(checkpoint, state=None)
                else:
                    saved_at = time.monotonic()
            owned = self._store.save(run, self.name, [checkpoint])
            if not owned or heart.verdict != "go on":
                steps.close()  # type: ignore[attr-defined]
                return False
        return True

    def _renew_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = _warm_pool()


class _Heart:
    """Beats while a run is carried out, and hears whether it is still wanted."""

    def __init__(self, store: Store, run: str, worker: str) -> None:
        self.verdict: str = "go on"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(store, run, worker), daemon=True)

    def __enter__(self) -> "_Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self, store: Store, run: str, worker: str) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS / 2):
            try:
                self.verdict = store.beat(run, worker)
            except InputError as error:
                print(f"heartbeat missed: {error}", file=sys.stderr, flush=True)


def _device(wanted: str | None) -> tuple[str, str]:
    """The device, and its name for people. Only a GPU needs torch in this process."""
    from mtl_core.training.pool import cores
    from mtl_core.training.train import best_device

    device = wanted or best_device()
    if device == "cuda":
        import torch

        return device, torch.cuda.get_device_name()
    return device, f"CPU, {cores()} core{'s' if cores() > 1 else ''}"


def _warm_pool() -> "ReplicaPool":
    from mtl_core.training.pool import ReplicaPool

    pool = ReplicaPool()
    pool.warm()
    return pool


def _size(state: Mapping[str, Any]) -> int:
    return sum(value.nbytes for value in state.values())


def _info(record: RunRecord, device: str) -> dict[str, Any]:
    from mtl_core.runs.artifacts import provenance

    return provenance(record.config, device)


if __name__ == "__main__":
    sys.exit(main())
