"""The commands of the kinds, ``run`` and ``front``: one experiment carried out and written."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import checks
from mtl_core.cli.words import Progress
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.kinds import KINDS, Kind, Piece, State

if TYPE_CHECKING:
    from mtl_core.runs.grids.replica import Replica
    from mtl_core.runs.grids.scratch import Scratch
    from mtl_core.runs.library.artifacts import Content, Made

__all__ = ["add", "add_arguments"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the commands."""
    for kind in KINDS.values():
        parser = commands.add_parser(kind.command.name, help=kind.command.help)
        parser.set_defaults(command=partial(_carry_out, kind))
        add_arguments(kind, parser)


def add_arguments(kind: Kind, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of a kind's command: its own, and those of all kinds."""
    kind.command.add(parser)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--device", help="cpu or cuda; default: the fastest on this machine")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="keeps the seeds that it has, and goes on with those that were begun",
    )


def _carry_out(kind: Kind, options: argparse.Namespace) -> int:
    config = kind.command.config(options)

    from mtl_core.runs.library import artifacts, folders
    from mtl_core.training import devices

    device = devices.choose(options.device)
    if options.device is None:
        device = kind.device(config, device)
    made = artifacts.provenance(config, device)
    there = _there(options.out, config, made)
    folders.check_writable(options.out)
    known = [seed for seed in config.seeds if there and seed in there.config.seeds]
    if known:
        seeds = " ".join(map(str, known))
        print(f"seeds {seeds} are in {options.out} already, and stay", file=sys.stderr)
    if missing := [seed for seed in config.seeds if seed not in known]:
        asked = checks.with_seeds(config, missing)
        _train(kind, asked, device, made, there, options.out)
    else:
        print(options.out)
    return 0


def _there(out: Path, config: Any, made: "Made") -> "Content | None":
    """The finished runs of an experiment that a folder has already.

    Raises:
        InputError: when it has an artifact of another experiment, or was made on other data.
    """
    from mtl_core.runs.library import additions, artifacts, folders

    for other in KINDS.values():
        table = f"{other.main}.parquet"
        if other.name != config.kind and (out / table).exists():
            raise InputError(f"{out} holds another artifact, with {table}; choose another folder")
    if not (out / folders.MANIFEST).exists():
        return None
    try:
        artifact = artifacts.read(out)
    except InputError as error:
        with suppress(InputError, OSError):
            if folders.manifest(out).get("id") == config.id:
                print(f"not taken as done: {error}", file=sys.stderr)
                return None
        raise InputError(f"{out} holds another artifact ({error}); choose another folder") from None
    if artifact.config.id != config.id:
        words = artifact.kind.command.words(artifact.config)
        raise InputError(f"{out} holds another artifact, of {words}; choose another folder")
    kept = additions.kept(artifact)
    if kept is not None:
        additions.check_data(artifact, made["data_fingerprint"])
    return kept


def _train(
    kind: Kind, config: Any, device: str, made: "Made", there: "Content | None", out: Path
) -> None:
    """Carry out the runs. What they have is written as it comes, and when they end early."""
    from mtl_core.runs.grids.scratch import Scratch

    scratch = Scratch(out)
    with scratch.locked():
        under_way = _UnderWay(kind, config, made, there, out, scratch)
        error = None
        try:
            with _ending_in_order():
                for piece in kind.carry_out(config, device, None, under_way.states()):
                    under_way.take(piece)
        except BaseException as stopped:
            error = str(stopped) or _STOPPED
            raise
        finally:
            under_way.end(error)


_STOPPED = "stopped before its end"

_KEEP_SECONDS = 10.0
"""How often what there is of the runs is written, at most."""


class _UnderWay:
    """The runs of an experiment on their way into a folder.

    An artifact there has the rows so far, for people to read, and the scratch folder what another
    call goes on from.

    Args:
        config: its seeds are those that are carried out.
        there: the runs that the folder had before.
    """

    def __init__(
        self,
        kind: Kind,
        config: Any,
        made: "Made",
        there: "Content | None",
        out: Path,
        scratch: "Scratch",
    ) -> None:
        self._kind, self._config, self._there, self._out = kind, config, there, out
        self._scratch = scratch
        self._replicas = _known(config, made, scratch)
        self._steps = {
            seed: 0 if replica.state is None else int(replica.state["step"])
            for seed, replica in self._replicas.items()
        }
        self._progress = Progress(kind.steps(config) * len(self._steps), sum(self._steps.values()))
        self._started = self._kept = time.monotonic()
        self._pause = _KEEP_SECONDS
        self._changed = False

    def states(self) -> dict[int, "State"]:
        """What the seeds that were begun before go on from."""
        return {
            seed: replica.state
            for seed, replica in self._replicas.items()
            if replica.state is not None
        }

    def take(self, piece: Piece) -> None:
        """The next piece of a run."""
        replica = self._replicas[piece.seed]
        if piece.tables or piece.notes:
            measured = (*replica.pieces, replace(piece, state=None))
            replica = replace(replica, pieces=measured)
        if piece.state is not None:
            replica = replace(replica, state=piece.state)
        self._replicas[piece.seed] = replica
        self._steps[piece.seed] = piece.step
        self._progress.show(sum(self._steps.values()))
        self._changed = True
        if time.monotonic() - self._kept >= self._pause:
            self._keep(_STOPPED)

    def end(self, error: str | None) -> None:
        """Write what there is at the end, or at an early one."""
        self._progress.end()
        if error is None:
            self._write(None)
            before = self._there.config.seeds if self._there else ()
            self._scratch.forget(self._config.id, {*self._steps, *before})
        elif self._changed:
            self._keep(error)
        if any(replica.pieces for replica in self._replicas.values()):
            print(self._out)

    def _keep(self, error: str) -> None:
        from mtl_core.runs.grids.replica import KEEPING

        started = time.monotonic()
        # The states first: rows without one would be all that a kill in between leaves.
        for replica in self._replicas.values():
            if replica.state is not None:
                step = int(replica.state["step"])
                before = tuple(piece for piece in replica.pieces if piece.step <= step)
                seconds = self._seconds(replica)
                self._scratch.keep(replace(replica, pieces=before, seconds=seconds))
        self._write(error)
        self._kept = time.monotonic()
        self._pause = max(_KEEP_SECONDS, (self._kept - started) / KEEPING)

    def _seconds(self, replica: "Replica") -> float:
        """Seeds go on side by side: each has its share of what the clock says."""
        return replica.seconds + (time.monotonic() - self._started) / len(self._replicas)

    def _write(self, error: str | None) -> None:
        from mtl_core.runs.library import artifacts

        parts = [self._there] if self._there else []
        parts += [
            artifacts.collected(
                checks.with_seeds(self._config, [seed]),
                replica.pieces,
                replica.provenance,
                self._seconds(replica),
                error,
            )
            for seed, replica in self._replicas.items()
            if any(piece.tables for piece in replica.pieces)
        ]
        if parts:
            artifacts.write(self._out, artifacts.joined(parts))


def _known(config: Any, made: "Made", scratch: "Scratch") -> dict[int, "Replica"]:
    """Each seed as far as an earlier call has brought it."""
    from mtl_core.runs.grids.replica import Replica

    found = {}
    for seed in config.seeds:
        begun = scratch.begun(config, seed)
        if begun is not None and begun.provenance["device"] != made["device"]:
            begun = None
        if begun is not None and begun.state is not None:
            step, steps = int(begun.state["step"]), kinds.of(config).steps(config)
            print(f"seed {seed} goes on from step {step:,} of {steps:,}", file=sys.stderr)
        found[seed] = begun or Replica(config.id, seed, provenance=made)
    return found


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """To be ended from outside is like Ctrl-C: what there is gets written."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, where signals are not ours to handle
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
