"""Slices: stretches of a run's way, and the processes or the device that carry them out."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from mtl_core.errors import InputError, TrainingDiverged, quoted
from mtl_core.runs.kinds import Kind, Piece, States
from mtl_core.runs.provenance import provenance as taken
from mtl_core.training.pool import ReplicaPool

__all__ = ["Carrier", "Done", "Processes", "Slice", "Stacks", "carry", "in_words"]


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
    """

    pieces: Sequence[Piece]
    seconds: float
    provenance: Mapping[str, Any] | None = None
    error: str | None = None
    expected: bool = False


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

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        """Slices that ended; waits up to so many seconds for the first."""
        ...

    def close(self) -> None: ...


class Processes:
    """Slices of single runs in a pool's single-threaded processes, on a CPU.

    A run prefers the process that had its slice before, which still has its network.
    """

    stacks = False

    def __init__(self, pool: ReplicaPool) -> None:
        self._pool = pool
        self._under_way: dict[int, tuple[Any, float, Future[Done]]] = {}
        self._before: dict[Any, int] = {}

    @property
    def free(self) -> bool:
        return len(self._under_way) < self._pool.processes

    def begin(self, name: Any, part: Slice) -> None:
        idle = [place for place in range(self._pool.processes) if place not in self._under_way]
        before = self._before.get(name)
        place = before if before in idle else idle[0]
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

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        futures = [future for _, _, future in self._under_way.values()]
        over = wait(futures, timeout=seconds, return_when=FIRST_COMPLETED).done
        found = []
        for place, (name, started, future) in list(self._under_way.items()):
            if future not in over:
                continue
            del self._under_way[place]
            try:
                done = future.result()
            except Exception as error:  # the process is gone
                self._pool.renew(place)
                done = Done([], time.monotonic() - started, error=in_words(error))
            found.append((name, done))
        return found

    def close(self) -> None:
        self._pool.shutdown()


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

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        if not self._over:
            time.sleep(seconds)
        found, self._over = self._over, []
        return found

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
        here = fingerprint(config)
        if data is None:
            provenance = taken(device, here, protocol(config))
        elif data != here:
            raise InputError(
                f"its data changed while it was going on (the fingerprint was {quoted(data)}, and "
                f"is {quoted(here)} now); put the old data back, or resume to go on with the new"
            )
        pieces = advance(config, config.seeds, states, seconds, device)
    except (InputError, TrainingDiverged) as error:
        before = [piece for piece in getattr(error, "checkpoints", ()) if isinstance(piece, Piece)]
        seconds = time.monotonic() - started
        return Done(before, seconds, provenance, str(error), expected=True)
    except Exception as error:
        with suppress(OSError):  # the log's disk is full
            traceback.print_exc()
        return Done([], time.monotonic() - started, provenance, in_words(error))
    return Done(pieces, time.monotonic() - started, provenance)


def in_words(error: Exception) -> str:
    """On one line, with the kind of error."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
