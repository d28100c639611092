"""Slices: stretches of a run's way, and the processes or the device that carry them out."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from mtl_core.errors import InputError, TrainingDiverged, quoted
from mtl_core.runs.kinds import Kind, Piece, States
from mtl_core.runs.provenance import provenance as taken
from mtl_core.training.pool import ReplicaPool

__all__ = ["Carrier", "Done", "Processes", "Slice", "Stacks", "carry", "carry_together", "in_words"]

LOOK_SECONDS = 0.5
"""How often processes are looked at."""
_NOBODY = object()
"""Whose slice it is that nobody waits for any more."""


@dataclass(frozen=True)
class Slice:
    """A stretch of the way of runs of one experiment, all at one step.

    Args:
        config: the experiment; its seeds are those of the runs.
        states: what each goes on from; none starts them.
        seconds: how long it lasts, about; 0 ends with the first measured step.
        data: the fingerprint of the data that the runs were begun on; None where they begin or
            resume now.
    """

    kind: Kind
    config: Any
    states: States
    seconds: float
    device: str
    data: str | None = None


@dataclass(frozen=True)
class Done:
    """What a slice brought.

    Args:
        seconds: how long it took.
        provenance: where the runs are carried out, on which data; where they began or resumed.
        error: what ended it early, in one line; the pieces came before it.
        expected: whether that is written for people; else it is a fault of ours.
        lost: what became of the process that carried it out, to follow "a process" in a sentence;
            nothing came back then, and the runs can go on from where the slice began.
        apart: whether nothing was carried out, since experiments could not be together; the runs
            can go on from where the slice began, those of each experiment by themselves.
    """

    pieces: Sequence[Piece]
    seconds: float
    provenance: Mapping[str, Any] | None = None
    error: str | None = None
    expected: bool = False
    lost: str | None = None
    apart: bool = False


class Carrier(Protocol):
    """Carries out some slices at a time."""

    @property
    def stacks(self) -> bool:
        """Whether a slice should have all runs of an experiment that are at one step."""
        ...

    @property
    def free(self) -> bool:
        """Whether another slice may begin."""
        ...

    def begin(self, name: Any, part: Slice) -> None:
        """Begin a slice; ``name`` comes back with what it brings."""
        ...

    def begin_together(self, parts: Sequence[tuple[Any, Slice]]) -> None:
        """Begin slices of several experiments as one, where it ``stacks``; each name comes back
        with what its own brings."""
        ...

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        """Slices that ended; waits up to so many seconds for the first."""
        ...

    def give_up(self, name: Any) -> None:
        """Let a slice bring nothing, and what carries it out be free for another, at once."""
        ...

    def close(self) -> None: ...


class Processes:
    """Slices of single runs in a pool's single-threaded processes, on a CPU.

    A run prefers the process that had its slice before, which still has its network. Processes that
    die or hang, with a slice or without, are replaced.
    """

    stacks = False

    def __init__(self, pool: ReplicaPool) -> None:
        self._pool = pool
        self._under_way: dict[int, tuple[Any, float, Future[Done]]] = {}
        self._before: dict[Any, int] = {}
        self._looked_at = time.monotonic()

    @property
    def free(self) -> bool:
        return len(self._under_way) < self._pool.processes

    def begin(self, name: Any, part: Slice) -> None:
        place = self._place(name)
        self._before[name] = place
        kind = part.kind
        # Functions instead of the kind: a process need not know of it.
        functions = (kind.advance, kind.fingerprint, kind.protocol)
        try:
            future = self._pool.call_in(place, carry, *functions, _plain(part))
        except Exception:  # the process died while it had nothing to do
            self._pool.renew(place)
            future = self._pool.call_in(place, carry, *functions, _plain(part))
        self._under_way[place] = (name, time.monotonic(), future)

    def begin_together(self, parts: Sequence[tuple[Any, Slice]]) -> None:
        raise NotImplementedError("a process carries out one run at a time")

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        futures = [future for _, _, future in self._under_way.values()]
        over = wait(futures, timeout=seconds, return_when=FIRST_COMPLETED).done
        if not futures:
            time.sleep(seconds)
        found = []
        for place, (name, started, future) in list(self._under_way.items()):
            if future not in over:
                continue
            del self._under_way[place]
            try:
                done = future.result()
            except Exception as error:  # the process is gone
                self._pool.renew(place)
                died = isinstance(error, BrokenExecutor)
                words = "died" if died else f"broke ({in_words(error)})"
                done = Done([], time.monotonic() - started, lost=words)
            found.append((name, done))
        found += self._replaced()
        return [(name, done) for name, done in found if name is not _NOBODY]

    def give_up(self, name: Any) -> None:
        for place, (one, started, future) in list(self._under_way.items()):
            if one != name:
                continue
            if self._pool.ready(place) or not self._pool.fit(place):
                self._pool.renew(place)
                del self._under_way[place]
            else:  # one that has just started has not begun the slice, and is soon through it
                self._under_way[place] = (_NOBODY, started, future)

    def close(self) -> None:
        # One that is stopped would never hear that it should end.
        self._pool.shutdown(kill=True)

    def _place(self, name: Any) -> int:
        """A process for a run's slice that is fit for it."""
        idle = [place for place in range(self._pool.processes) if place not in self._under_way]
        before = self._before.get(name)
        idle.sort(key=lambda place: (place != before, not self._pool.ready(place)))
        for place in idle:
            if self._pool.fit(place):
                return place
            self._pool.renew(place)
        return idle[0]

    def _replaced(self) -> list[tuple[Any, Done]]:
        """Look at the processes from time to time; the slices of those that were replaced."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return []
        self._looked_at = now
        found = []
        for place, words in self._pool.troubles().items():
            name, started, future = self._under_way.get(place, (_NOBODY, now, None))
            if future is not None and future.done():
                continue  # it came back before
            self._under_way.pop(place, None)
            self._pool.renew(place)
            found.append((name, Done([], now - started, lost=words)))
        return found


class Stacks:
    """Slices of runs that are stacked into one computation, one slice at a time, in this process.

    It is made for a GPU; on a CPU it does the same, more slowly.
    """

    stacks = True

    def __init__(self) -> None:
        self._over: list[tuple[Any, Done]] = []

    @property
    def free(self) -> bool:
        return not self._over

    def begin(self, name: Any, part: Slice) -> None:
        kind = part.kind
        done = carry(kind.advance, kind.fingerprint, kind.protocol, _plain(part))
        self._over.append((name, done))

    def begin_together(self, parts: Sequence[tuple[Any, Slice]]) -> None:
        names = [name for name, _ in parts]
        self._over += zip(names, carry_together([part for _, part in parts]), strict=True)

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        if not self._over:
            time.sleep(seconds)
        found, self._over = self._over, []
        return found

    def give_up(self, name: Any) -> None:
        """Nothing: a slice is over when it has begun."""

    def close(self) -> None:
        pass


_Plain = tuple[Any, States, float, str, str | None]


def _plain(part: Slice) -> _Plain:
    return part.config, part.states, part.seconds, part.device, part.data


def carry(
    advance: Callable[..., list[Piece]],
    fingerprint: Callable[[Any], str],
    protocol: Callable[[Any], Mapping[str, str]],
    part: _Plain,
) -> Done:
    """Carry out a slice here; what goes wrong comes back with the pieces before it."""
    config, states, seconds, device, data = part
    started = time.monotonic()
    provenance: dict[str, Any] | None = None
    try:
        provenance = _origin(fingerprint, protocol, config, device, data)
        pieces = advance(config, config.seeds, states, seconds, device)
    except (InputError, TrainingDiverged) as error:
        before = [piece for piece in getattr(error, "checkpoints", ()) if isinstance(piece, Piece)]
        seconds = time.monotonic() - started
        return Done(before, seconds, provenance, str(error), expected=True)
    except Exception as error:
        with suppress(OSError):  # the log's disk is full
            traceback.print_exc()
        seconds = time.monotonic() - started
        if _too_large(error):
            return Done([], seconds, provenance, _out_of_memory(config, device), expected=True)
        return Done([], seconds, provenance, in_words(error))
    return Done(pieces, time.monotonic() - started, provenance)


def carry_together(parts: Sequence[Slice]) -> list[Done]:
    """Carry out slices of some experiments of one kind and shape as one, here.

    Whatever goes wrong, it is for each by itself to find out whether that was its own.
    """
    first, started = parts[0], time.monotonic()
    runs = [len(part.config.seeds) for part in parts]

    def share(count: int) -> float:
        return (time.monotonic() - started) * count / sum(runs)

    try:
        origins = [
            _origin(part.kind.fingerprint, part.kind.protocol, part.config, part.device, part.data)
            for part in parts
        ]
        together = first.kind.together
        assert together is not None
        found = together.advance(
            [(part.config, part.config.seeds, part.states) for part in parts],
            first.seconds,
            first.device,
        )
    except Exception as error:
        with suppress(OSError):  # the log's disk is full
            print(f"{len(parts)} experiments go on apart: {in_words(error)}", flush=True)
        if _too_large(error):
            _free(first.device)
        return [Done([], share(count), apart=True) for count in runs]
    return [
        Done(pieces, share(count), origin)
        for pieces, count, origin in zip(found, runs, origins, strict=True)
    ]


def _origin(
    fingerprint: Callable[[Any], str],
    protocol: Callable[[Any], Mapping[str, str]],
    config: Any,
    device: str,
    data: str | None,
) -> dict[str, Any] | None:
    """Where runs begin or resume, on which data; None where they go on.

    Raises:
        InputError: where they go on with other data.
    """
    here = fingerprint(config)
    if data is None:
        return taken(device, here, protocol(config))
    if data != here:
        raise InputError(
            f"its data changed while it was going on (the fingerprint was {quoted(data)}, and "
            f"is {quoted(here)} now); put the old data back, or resume to go on with the new"
        )
    return None


def _free(device: str) -> None:
    """Give back what a failed attempt held, for the next."""
    if device == "cuda":
        from torch.cuda import empty_cache

        empty_cache()


def _too_large(error: Exception) -> bool:
    """Whether memory ran out: the machine's, or PyTorch's on a GPU."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _out_of_memory(config: Any, device: str) -> str:
    """What a run is told that does not fit by itself; of a stack, each run is tried alone first."""
    _free(device)
    where = "the GPU" if device == "cuda" else "this machine"
    sizes = [
        f"{title} {value}"
        for name, title in _SIZES.items()
        if (value := getattr(config, name, None)) is not None
    ]
    asked = f" at {' and '.join(sizes)}" if sizes else ""
    return f"{where} ran out of memory{asked}; make it smaller, or end what else takes memory"


_SIZES = {"width": "width", "batch_size": "batch size", "solutions": "solutions"}


def in_words(error: Exception) -> str:
    """On one line, with the kind of error."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
