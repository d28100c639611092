"""Lockstep: the runs that a worker carries out, each a slice at a time."""

import time
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from mtl_core import checks
from mtl_core.errors import StoreError
from mtl_core.runs.kinds import Kind, Piece, State
from mtl_core.runs.provenance import changes
from mtl_core.runs.queue.records import Key, Record
from mtl_core.runs.queue.schedule import Going, Schedule
from mtl_core.runs.queue.slices import Carrier, Done, Slice, in_words
from mtl_core.runs.queue.store import Store

__all__ = ["Lockstep"]

SLICE_SECONDS = 0.5
"""How long a slice is. A stop takes as long, and a measurement where one is due."""
SLICE_BYTES = 20 * 2**20
"""A state of so many bytes makes its slices a second longer: it has to be carried to and fro."""
SNAPSHOT_BYTES = 8 * 2**20
"""A run's state up to this size is saved with every slice."""
SNAPSHOT_SECONDS = 30.0
"""How often a larger state is saved."""
STOP_SECONDS = 1.5
"""How long a slice of a run that is to be stopped may go on; then it is given up."""
REST_SECONDS = 5.0
"""How long slices may go on when the worker is to end; those that take longer are done again."""
STATES_BYTES = 2**30
"""States that are kept in memory; those of other runs are read back from the store."""
END_PAUSES = (0.5, 1.0, 2.0, 4.0, 0.0)
"""Waits between the attempts to write; a full disk may get space again."""


@dataclass
class _Run(Going):
    """A run of this worker.

    Args:
        data: the fingerprint of its data; None until its first slice here has ended.
        stopping: whether it is to be stopped, and gets no further slice.
        shape: what experiments have in common whose runs can be carried out together; None where
            they cannot.
        bytes: what it takes of the device's memory when it is, about.
        apart: whether it is not carried out with other experiments any more, since that failed.
        alone: nor with its experiment's other seeds.
        unsaved: whether the store lacks its newest state.
        lost: what became of the process that had its slice last, if that brought nothing.
        lost_again: and of the one that had it before, in the same place.
        stop_at: when it was heard that it is to be stopped, as ``time.monotonic`` says.
    """

    config: Any = None
    kind: Kind | None = None
    device: str = "cpu"
    info: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    stopping: bool = False
    shape: Hashable = None
    bytes: int = 0
    apart: bool = False
    alone: bool = False
    unsaved: bool = False
    lost: str | None = None
    lost_again: str | None = None
    stop_at: float | None = None
    saved_at: float = float("-inf")


class Lockstep:
    """Runs under way, in slices that the schedule chooses.

    Args:
        worker: in whose name they are carried out.
        device: the best that this machine has.
    """

    def __init__(self, store: Store, worker: str, device: str, carrier: Carrier) -> None:
        self._store = store
        self._worker = worker
        self._device = device
        self._carrier = carrier
        self._schedule = Schedule()
        self._runs: dict[Key, _Run] = {}
        self._states = _States(self._save_state)

    @property
    def going(self) -> bool:
        """Whether any run is under way."""
        return bool(self._runs)

    def add(self, records: Sequence[Record]) -> None:
        """Take runs over that this worker has claimed; each goes on where it stopped."""
        for record in records:
            kind = record.kind
            state = self._store.state(record.key)
            run = _Run(
                record.key,
                record.question,
                record.order,
                -1 if state is None else int(state["step"]),
                record.steps,
                visitor=record.visitor,
                config=record.config,
                kind=kind,
                device=kind.device(record.config, self._device),
                info=record.info,
            )
            self._runs[record.key] = run
            _say(record.key, "starts" if run.step < 0 else f"goes on from step {run.step}")
            if state is not None:
                self._states.put(record.key, state)
                self._states.trim()

    def turn(self, told: Mapping[Key, bool], seconds: float) -> None:
        """Begin slices wherever there is room, and take in those that have ended.

        Args:
            told: what the store said last of this worker's runs: whether each is to be stopped.
            seconds: how long to wait for a slice to end, at most.
        """
        self._stop(told)
        self._begin()
        for keys, done in self._carrier.ended(seconds):
            ended = self._advanced(keys, done)
            if not self._carrier.stacks:
                self._begin()  # no process waits for what is written
            for run, pieces in ended:
                try:
                    self._take(run, pieces, done, told)
                except StoreError:
                    raise
                except Exception as error:  # a fault of ours ends one run, in one line
                    with suppress(OSError):  # the log's disk is full
                        traceback.print_exc()
                    self._finish(run.key, "failed", _unforeseen(in_words(error)))
            self._states.trim()

    def rest(self) -> None:
        """Take in the slices that are soon over, and put every run back into the queue."""
        until = time.monotonic() + REST_SECONDS
        while any(run.busy for run in self._runs.values()):
            for keys, done in self._carrier.ended(0.2):
                for run, pieces in self._advanced(keys, done):
                    self._take(run, pieces, done, {})
            if time.monotonic() >= until and not self._carrier.stacks:
                break  # where each goes on from is known; whoever carries it out is ended next
        for key, run in self._runs.items():
            if run.unsaved:
                self._save_state(key, self._states.get(key))
        self._runs = {}
        self._patiently(lambda: self._store.release(self._worker))

    # Beginning slices.

    def _begin(self) -> None:
        while self._carrier.free:
            run = self._schedule.choose([r for r in self._runs.values() if not r.stopping])
            if run is None:
                return
            self._begin_with(self._runs[run.key])

    def _begin_with(self, first: _Run) -> None:
        parts = [self._part(runs) for runs in self._with(first)]
        if len(parts) == 1:
            self._carrier.begin(*parts[0])
            return
        # They last as long as all of them would, as far as states are carried to and fro.
        seconds = sum(part.seconds for _, part in parts) - SLICE_SECONDS * (len(parts) - 1)
        self._carrier.begin_together(
            [(name, replace(part, seconds=max(seconds, 0.0))) for name, part in parts]
        )

    def _with(self, first: _Run) -> list[list[_Run]]:
        """The runs that get a slice with this one, those of each experiment by themselves."""
        if not self._carrier.stacks or first.alone:
            return [[first]]

        def beside(run: _Run) -> bool:
            return (run.step, run.busy, run.alone) == (first.step, False, False)

        own, others = [], []
        for run in filter(beside, self._runs.values()):
            if run.key.experiment == first.key.experiment:
                self._measure(run)
                if run.data == first.data:
                    own.append(run)
            elif not (first.apart or run.apart or run.stopping) and self._joins(run, first):
                others.append(run)
        found: dict[str, list[_Run]] = {}
        for run in self._fitting([*own, *others]):
            found.setdefault(run.key.experiment, []).append(run)
        # Those of an experiment on other data are another slice of it.
        return [[run for run in runs if run.data == runs[0].data] for runs in found.values()]

    def _joins(self, run: _Run, first: _Run) -> bool:
        if run.question != first.question or run.device != first.device or run.kind != first.kind:
            return False
        self._measure(run)
        return first.shape is not None and run.shape == first.shape

    def _measure(self, run: _Run) -> None:
        """Find out what a run can be carried out with, and what it takes, once.

        What goes wrong here goes wrong again in its own slice, which says so.
        """
        together = run.kind.together if run.kind is not None else None
        if run.shape is None and together is not None and not run.apart:
            try:
                run.shape, run.bytes = together.shape(run.config), together.run_bytes(run.config)
            except Exception:
                run.apart = True

    def _fitting(self, runs: list[_Run]) -> list[_Run]:
        """As many of them as there is room for, at least the first."""
        together = runs[0].kind.together if runs[0].kind is not None else None
        if together is None or runs[0].apart or len(runs) == 1:
            return runs
        within = accumulate(run.bytes for run in runs)
        most = together.room(runs[0].device)
        return runs[: max(1, sum(total <= most for total in within))]

    def _part(self, runs: list[_Run]) -> tuple[tuple[Key, ...], Slice]:
        """A slice of runs of one experiment."""
        first = runs[0]
        states: dict[int, State] = {}
        for run in runs:
            run.busy = True
            state = self._state(run)
            if state is not None:
                states[run.key.seed] = state
        if len(states) < len(runs):
            states = {}  # one without a state starts anew, and those at its step with it
        size = max(map(_size, states.values()), default=0)
        seconds = SLICE_SECONDS + size / SLICE_BYTES if states else 0.0
        config = checks.with_seeds(first.config, [run.key.seed for run in runs])
        assert first.kind is not None
        part = Slice(first.kind, config, states, seconds, first.device, first.data)
        return tuple(run.key for run in runs), part

    def _state(self, run: _Run) -> State | None:
        if run.step < 0:
            return None
        return self._states.get(run.key) or self._store.state(run.key)

    # Taking slices in.

    def _advanced(self, keys: Sequence[Key], done: Done) -> list[tuple[_Run, list[Piece]]]:
        """Say of each run of a slice how far it is now; those that are gone are left out."""
        runs = [self._runs[key] for key in keys if key in self._runs]
        found = []
        for run in runs:
            run.busy = False
            self._schedule.charge(run.visitor, run.question, done.seconds / len(keys))
            if done.apart:
                run.apart = True
                continue
            if len(keys) > 1 and (done.error or done.lost):
                run.alone = True  # whichever of them it was, the others go on
                continue
            run.lost, run.lost_again = done.lost, run.lost if done.lost else None
            if done.provenance is not None:  # before its next slice begins
                run.data = str(done.provenance["data_fingerprint"])
            pieces = [piece for piece in done.pieces if piece.seed == run.key.seed]
            if pieces and done.error is None:
                run.step = pieces[-1].step
                assert pieces[-1].state is not None
                self._states.put(run.key, pieces[-1].state)
                run.unsaved = True
            if done.error is not None or run.lost_again is not None or run.step >= run.steps:
                run.busy = True  # it is over, and gets no further slice
            found.append((run, pieces))
        return found

    def _take(
        self, run: _Run, pieces: Sequence[Piece], done: Done, told: Mapping[Key, bool]
    ) -> None:
        """Write what a run has brought, and end it where it is over."""
        if done.lost is not None:
            self._take_lost(run, done.lost)  # it goes on from the state before the slice
            return
        over = done.error is not None or run.step >= run.steps
        if done.provenance is not None:
            self._describe(run, done.provenance)
        if not self._save(run, pieces, done.seconds, whole=over or told.get(run.key, False)):
            self._forget(run.key)  # somebody else has it now, or it was removed
        elif done.error is not None:
            reason = done.error
            if not done.expected:
                reason = _unforeseen(reason)
            self._finish(run.key, "failed", reason)
        elif over:
            self._finish(run.key, "done", None)

    def _take_lost(self, run: _Run, words: str) -> None:
        """Note that a process was replaced; one run that costs two in a row is not tried on."""
        where = "from its start" if run.step < 0 else f"from step {run.step}"
        if run.lost_again is not None:
            if run.unsaved:
                self._save_state(run.key, self._states.get(run.key))
            reason = (
                f"two processes in a row did not carry it on {where}: the first "
                f"{run.lost_again}, the second {words}; resume to try again, or remove it"
            )
            self._finish(run.key, "failed", reason)
            return
        note = (
            f"a process that carried on seed {run.key.seed} {where} {words} and was replaced; what "
            "it had to do was done again, with the same values"
        )
        _say(run.key, f"lost a process, which {words}; it is tried once more {where}")
        info = run.info
        self._patiently(lambda: self._store.describe(run.key, self._worker, info, [note]))

    def _describe(self, run: _Run, provenance: Mapping[str, Any]) -> None:
        """Its provenance when it began; what has changed since is noted where it resumes."""
        notes = [
            f"seed {run.key.seed} was resumed after a change: {words}"
            for words in changes(run.info, provenance)
        ]
        if not run.info or notes:
            info = {**provenance, **run.info}
            run.info = info
            self._patiently(lambda: self._store.describe(run.key, self._worker, info, notes))

    def _save(self, run: _Run, pieces: Sequence[Piece], seconds: float, *, whole: bool) -> bool:
        """Write pieces, and the state when it is due; False when the run is no longer ours."""
        state = next((piece.state for piece in reversed(pieces) if piece.state is not None), None)
        large = state is not None and _size(state) > SNAPSHOT_BYTES
        if large and not whole and time.monotonic() - run.saved_at < SNAPSHOT_SECONDS:
            pieces = [replace(piece, state=None) for piece in pieces]
        else:
            run.saved_at, run.unsaved = time.monotonic(), False
        return bool(
            self._patiently(
                lambda: self._store.save(run.key, self._worker, pieces, seconds=seconds)
            )
        )

    def _save_state(self, key: Key, state: State | None) -> None:
        """Write a state that leaves the memory."""
        run = self._runs.get(key)
        if run is not None and run.unsaved and state is not None:
            piece = Piece(key.seed, int(state["step"]), state=state)
            run.unsaved = False
            self._patiently(lambda: self._store.save(key, self._worker, [piece]))

    def _stop(self, told: Mapping[Key, bool]) -> None:
        """End the runs that are no longer wanted; a slice that does not come back is given up."""
        now = time.monotonic()
        for key, cancel in told.items():
            run = self._runs.get(key)
            if run is None:
                continue
            run.stopping = cancel
            if not cancel:
                run.stop_at = None
                continue
            run.stop_at = run.stop_at or now
            if run.busy and not self._carrier.stacks and now - run.stop_at >= STOP_SECONDS:
                self._carrier.give_up((key,))
                run.busy = False
            if not run.busy:
                if run.unsaved:
                    self._save_state(key, self._states.get(key))
                self._finish(key, "cancelled", None)

    def _finish(self, key: Key, state: Any, reason: str | None) -> None:
        self._forget(key)
        # What was handled, and has left its traceback in the log, is not what a worker died of.
        _say(key, state if reason is None else f"failed: {reason}")
        self._patiently(lambda: self._store.finish(key, self._worker, state, reason))

    def _forget(self, key: Key) -> None:
        self._runs.pop(key, None)
        self._states.pop(key)

    def _patiently(self, write: Any) -> Any:
        """Write, with a full disk for as long as it may get space again."""
        for pause in END_PAUSES[:-1]:
            with suppress(StoreError):
                return write()
            time.sleep(pause)
        return write()


def _say(key: Key, what: str) -> None:
    with suppress(OSError):  # the log's disk is full
        print(f"run {key.experiment} of seed {key.seed} {what}", flush=True)


def _unforeseen(reason: str) -> str:
    return f"training stopped unexpectedly ({reason}); resume to try again, or remove it"


class _States:
    """States of runs in memory.

    Args:
        leaves: takes what leaves.
    """

    def __init__(self, leaves: Any) -> None:
        self._leaves = leaves
        self._states: OrderedDict[Key, State] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> State | None:
        return self._states.get(key)

    def put(self, key: Key, state: State) -> None:
        self.pop(key)
        self._states[key] = state
        self._bytes += _size(state)

    def trim(self) -> None:
        """Let the oldest leave where there are too many bytes.

        Not before the rows that led to a state are written: a run that goes on from it would lack
        them.
        """
        while self._bytes > STATES_BYTES and len(self._states) > 1:
            oldest = next(iter(self._states))
            self._leaves(oldest, self._states[oldest])
            self.pop(oldest)

    def pop(self, key: Key) -> None:
        state = self._states.pop(key, None)
        if state is not None:
            self._bytes -= _size(state)


def _size(state: State) -> int:
    return sum(value.nbytes for value in state.values())
