"""Scratch: what there is of replicas whose experiment is not finished yet, safe from a kill.

A folder inside an output folder, gone when nothing is left to do. A replica is a file of two lines
of JSON, what it is and what it brought, and while it is under way a file of arrays beside it, the
state that it goes on from. Both are believed only when they are whole and come from the data and
the library versions that are here now.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.runs import kinds
from mtl_core.runs.grids.replica import Replica
from mtl_core.runs.kinds import Experiment, Piece
from mtl_core.runs.library import artifacts
from mtl_core.runs.states import BROKEN, packed, unpacked

__all__ = ["Scratch"]

_FOLDER, _LOCK, _PART = ".unfinished", "lock", ".part"
_VERSION = 3


class Scratch:
    """The scratch folder of ``out``."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out / _FOLDER

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output folder alone, and leave no empty scratch folder behind.

        Raises:
            InputError: when another process holds it, or it cannot be locked.
        """
        lock = FileLock(self._folder / _LOCK)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"another process is writing to {self._out}; wait for it, or choose another "
                "folder with --out"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise InputError(f"cannot lock {self._out} ({error}); choose another folder") from error
        try:
            for part in self._folder.glob(f"*{_PART}"):
                part.unlink(missing_ok=True)
            yield
        finally:
            with suppress(OSError):  # Windows removes an open file's name with its last handle
                (self._folder / _LOCK).unlink()
            lock.release()
            with suppress(OSError):
                self._folder.rmdir()

    def keep(self, replica: Replica) -> None:
        """Write a replica as far as it has got. Raises InputError when that is impossible."""
        path = self._path(replica.experiment, replica.seed)
        state = None if replica.state is None else packed(replica.state)
        body = json.dumps(
            {
                "id": replica.experiment,
                "seed": replica.seed,
                "seconds": replica.seconds,
                "provenance": replica.provenance,
                "pieces": [
                    {"step": piece.step, "tables": piece.tables, "notes": piece.notes}
                    for piece in replica.pieces
                ],
                "state": None if state is None else _digest(state),
            }
        )
        head = json.dumps({"version": _VERSION, "blake2b": _digest(body.encode())})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            before = self._states(path)
            if state is not None:
                # Before the rows that it follows: a kill in between leaves the older pair whole.
                _replace(path.with_name(f"{path.stem}-{_digest(state)}.npz"), state)
            _replace(path, f"{head}\n{body}\n".encode())
            for old in before:
                if state is None or _digest(state) not in old.name:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {path} ({error}); choose another folder") from error

    def find(self, config: Experiment) -> tuple[dict[int, Replica], list[str]]:
        """The replicas of a config's seeds that have reached their end, and what was refused."""
        found: dict[int, Replica] = {}
        problems: list[str] = []
        for seed in config.seeds:
            path = self._path(config.id, seed)
            if not path.exists():
                continue
            try:
                replica, state = _read(path, config, seed)
            except InputError as error:
                problems.append(f"{path.name}: {error}")
            else:
                if state is None:
                    found[seed] = replica
        return found, problems

    def begun(self, config: Experiment, seed: int) -> Replica | None:
        """A replica that is under way, with its state; None where it begins anew.

        A state that cannot be used is named on standard error; rows that cannot, ``find`` names.
        """
        path = self._path(config.id, seed)
        try:
            replica, state = _read(path, config, seed)
        except InputError:
            return None
        if state is None:
            return None
        file = path.with_name(f"{path.stem}-{state}.npz")
        try:
            content = file.read_bytes()
            if _digest(content) != state:
                raise ValueError("is damaged")
            return replace(replica, state=unpacked(content))
        except BROKEN as error:
            print(f"trained again: {file.name}: {str(error)[:120]}", file=sys.stderr)
            return None

    def forget(self, experiment: str, seeds: Iterable[int]) -> None:
        """Remove the replicas of some seeds of an experiment."""
        for seed in seeds:
            path = self._path(experiment, seed)
            path.unlink(missing_ok=True)
            for state in self._states(path):
                state.unlink(missing_ok=True)

    def _path(self, experiment: str, seed: int) -> Path:
        return self._folder / f"{experiment}-{seed}.json"

    def _states(self, path: Path) -> list[Path]:
        return list(self._folder.glob(f"{path.stem}-*.npz"))


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(_PART)
    part.write_bytes(content)
    os.replace(part, path)


def _read(path: Path, config: Experiment, seed: int) -> tuple[Replica, str | None]:
    """A replica without its state, and the hash of that, if it is under way.

    Raises:
        InputError: for all but a whole replica of here and now.
    """
    try:
        head, body = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != {"version": _VERSION, "blake2b": _digest(body.encode())}:
            raise InputError("is damaged, or of another version")
        content = json.loads(body)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot be read ({str(error)[:120]})") from error
    if (content["id"], content["seed"]) != (config.id, seed):
        raise InputError(f"is seed {content['seed']} of {content['id']}")
    _check_provenance(content["provenance"], config)
    pieces = [
        Piece(seed, one["step"], one["tables"], notes=tuple(one["notes"]))
        for one in content["pieces"]
    ]
    replica = Replica(config.id, seed, tuple(pieces), content["seconds"], content["provenance"])
    return replica, content["state"]


def _check_provenance(found: dict[str, Any], config: Experiment) -> None:
    for name, value in found["versions"].items():
        here = artifacts.versions().get(name)
        if value != here:
            raise InputError(f"was trained with {name} {value}, and here is {here}")
    try:
        here = kinds.of(config).fingerprint(config)
    except DataMissing as error:
        raise InputError(f"was trained on data that is not here ({error})") from error
    if found["data_fingerprint"] != here:
        raise InputError(f"was trained on other data, {quoted(found['data_fingerprint'])}")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
