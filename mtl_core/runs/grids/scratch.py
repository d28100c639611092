"""Scratch: finished replicas whose experiment is not finished yet, safe from a kill.

A folder inside a grid's output folder, gone when nothing is left to do. A replica is a file of two
lines of JSON, what it is and what it brought; it is believed only when it is whole and was trained
on the data and with the library versions that are here now.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.runs import kinds
from mtl_core.runs.grids.replica import Replica
from mtl_core.runs.kinds import Experiment, Piece
from mtl_core.runs.library import artifacts

__all__ = ["Scratch"]

_FOLDER, _LOCK, _PART = ".unfinished", "lock", ".part"
_VERSION = 2


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
                f"another precompute is writing to {self._out}; wait for it, or choose another "
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
        """Write a finished replica. Raises InputError when that is impossible."""
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
            }
        )
        head = json.dumps({"version": _VERSION, "blake2b": _digest(body)})
        path = self._path(replica.experiment, replica.seed)
        part = path.with_suffix(_PART)
        try:
            part.write_text(f"{head}\n{body}\n", encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            raise InputError(f"cannot write {path} ({error}); choose another folder") from error

    def find(self, config: Experiment) -> tuple[dict[int, Replica], list[str]]:
        """The replicas of a config's seeds that need not be trained again, and what was refused."""
        found: dict[int, Replica] = {}
        problems: list[str] = []
        for seed in config.seeds:
            path = self._path(config.id, seed)
            if not path.exists():
                continue
            try:
                found[seed] = _read(path, config, seed)
            except InputError as error:
                problems.append(f"{path.name}: {error}")
        return found, problems

    def forget(self, experiment: str, seeds: Iterable[int]) -> None:
        """Remove the replicas of some seeds of an experiment."""
        for seed in seeds:
            self._path(experiment, seed).unlink(missing_ok=True)

    def _path(self, experiment: str, seed: int) -> Path:
        return self._folder / f"{experiment}-{seed}.json"


def _read(path: Path, config: Experiment, seed: int) -> Replica:
    """Raises InputError for all but a whole replica of here and now."""
    try:
        head, body = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != {"version": _VERSION, "blake2b": _digest(body)}:
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
    return Replica(config.id, seed, tuple(pieces), content["seconds"], content["provenance"])


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


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
