"""The commands of the kinds, ``run`` and ``front``: one experiment carried out and written."""

import argparse
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import checks
from mtl_core.cli.words import progress, progress_ends
from mtl_core.errors import InputError
from mtl_core.runs.kinds import KINDS, Kind, Piece

if TYPE_CHECKING:
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
        "--out", type=Path, required=True, metavar="DIR", help="keeps the seeds that it has"
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
    """Carry out the runs and write their results, also when they end early."""
    from mtl_core.runs.library import artifacts

    started = time.monotonic()
    pieces: list[Piece] = []
    steps = dict.fromkeys(config.seeds, 0)
    error = None
    try:
        for piece in kind.carry_out(config, device, None):
            pieces.append(replace(piece, state=None))
            steps[piece.seed] = piece.step
            progress(sum(steps.values()), kind.steps(config) * len(steps), started)
    except BaseException as stopped:
        error = str(stopped) or "stopped before its end"
        raise
    finally:
        progress_ends()
        if any(piece.tables for piece in pieces):
            seconds = time.monotonic() - started
            new = artifacts.collected(config, pieces, made, seconds, error)
            artifacts.write(out, artifacts.joined([there, new]) if there else new)
            print(out)
