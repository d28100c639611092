"""Look-aheads that are known: what a joint run says of each auxiliary, as a small file.

A look-ahead is one JSON file, ``look_ahead/SETTING/TARGET--ID-SEED.json``, in ``cache/`` or beside
the store:

    version             of this format
    id, config, seed    the joint run: the target with all candidates
    looks               how many steps of each epoch were looked at
    affinity            task -> its mean affinity onto the target in each epoch
    made                ``created``, ``device``, ``versions``, ``data_fingerprint``,
                        ``duration_seconds`` and the ``command`` that makes it
    blake2b             hash of all of this

It is believed only when its id is that of its config and its looks are those of such a run. It goes
out with runs that it foretells, and comes in with them, see ``exchange``.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_core import checks, kept
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.queue.file import default_path
from mtl_core.training.looks import LookAhead, looks

__all__ = [
    "FOLDER",
    "MOST_BYTES",
    "JointRun",
    "checked",
    "find",
    "foretells",
    "going_with",
    "own_dir",
    "path_in",
    "read",
    "scan",
    "settle",
    "shipped_dir",
    "write",
]

FOLDER = "look_ahead"
MOST_BYTES = 2 * 2**20  # of one that comes from anywhere
_VERSION = 1
_MADE = ("created", "device", "versions", "data_fingerprint", "duration_seconds", "command")
_MOST_NAMES = 100  # of versions
_MOST_SECONDS = 1e10  # that it has taken


@dataclass(frozen=True)
class JointRun:
    """A joint run that was looked at.

    Args:
        config: with its one seed.
        made: where it comes from, as above.

    Raises:
        InputError: for what no such run can have found.
    """

    config: RunConfig
    found: LookAhead
    made: Mapping[str, Any]

    def __post_init__(self) -> None:
        if len(self.config.seeds) != 1:
            raise InputError(f"it has {len(self.config.seeds)} seeds, not one")
        if self.found.looks != looks(self.config):
            raise InputError("its looks are not those of its run")
        if set(self.found.epochs) != set(self.config.tasks):
            raise InputError("its tasks are not those of its run")
        for task, means in self.found.epochs.items():
            if len(means) != self.config.epochs or not all(map(math.isfinite, means)):
                raise InputError(f"the affinity of {quoted(task)} is not a number for each epoch")

    def to_dict(self) -> dict[str, Any]:
        """In plain JSON values, with their hash."""
        said: dict[str, Any] = {
            "version": _VERSION,
            "id": self.config.id,
            "config": self.config.to_dict(),
            "seed": self.config.seeds[0],
            "looks": list(self.found.looks),
            "affinity": {task: list(means) for task, means in self.found.epochs.items()},
            "made": dict(self.made),
        }
        return {**said, "blake2b": folders.manifest_digest(said)}


def shipped_dir() -> Path:
    """Those that ship with the app."""
    return artifacts.cache_dir() / FOLDER


def own_dir() -> Path:
    """Those that were computed here: ``look_ahead/`` beside the store."""
    return default_path().absolute().parent / FOLDER


def find(config: RunConfig) -> JointRun | None:
    """The look-ahead of a joint run, computed here or shipped; None where there is none.

    One on other data than this machine has is none.

    Args:
        config: its first seed counts.
    """
    config = checks.with_seeds(config, config.seeds[:1])
    for folder in (own_dir(), shipped_dir()):
        path = path_in(folder, config)
        try:
            stat = path.stat()
        except OSError:
            continue
        stamp = (stat.st_mtime_ns, stat.st_size)
        found = _known.get(path, lambda path=path: _sound(path), stamp)  # type: ignore[misc]
        if found is not None and _on_this_data(found):
            return found
    return None


def scan() -> tuple[list[JointRun], list[str]]:
    """All that are here, read anew, and why others are not believed."""
    found, problems = [], []
    for folder in (shipped_dir(), own_dir()):
        for path in sorted(folder.glob("*/*.json")):
            try:
                found.append(read(path))
            except InputError as error:
                problems.append(str(error))
    return found, problems


def foretells(joint: JointRun, config: Any) -> bool:
    """Whether an experiment is a training that a joint run says something of.

    Its target and all of its auxiliaries are tasks of the joint run, and the target is the same.
    """
    return (
        config.kind == joint.config.kind
        and (config.setting, config.target) == (joint.config.setting, joint.config.target)
        and {*config.auxiliaries} <= {*joint.config.auxiliaries}
    )


def going_with(configs: Sequence[Any]) -> list[JointRun]:
    """Those that were computed here, or came here, and foretell any of some experiments."""
    known = filter(None, map(_sound, sorted(own_dir().glob("*/*.json"))))
    return [joint for joint in known if any(foretells(joint, config) for config in configs)]


def checked(path: Path) -> JointRun:
    """One that may come from anybody: ``read``, and all that it says may be shown.

    Raises:
        InputError: naming what is wrong with it.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        most = f"above the limit of {MOST_BYTES >> 20} MB"
        raise InputError(f"look-ahead {path.name} has {size / 2**20:,.0f} MB, {most}")
    joint = read(path)
    with folders.checking_text(f"look-ahead {path.name}"):
        _check_made(joint.made)
    return joint


def settle(joint: JointRun) -> bool:
    """Keep one that came here beside the store, unless a sound one of its run is here.

    Returns:
        Whether it was kept.

    Raises:
        InputError: when it cannot be written.
    """
    for folder in (own_dir(), shipped_dir()):
        path = path_in(folder, joint.config)
        if path.is_file() and _sound(path) is not None:
            return False
    write(joint)
    return True


def write(joint: JointRun, folder: Path | None = None) -> Path:
    """Write a look-ahead below ``folder`` (default: beside the store), whole or not at all.

    Raises:
        InputError: when that is impossible.
    """
    path = path_in(folder or own_dir(), joint.config)
    return folders.write_text(path, joint.to_dict(), indent=1)


def read(path: Path) -> JointRun:
    """A look-ahead, checked.

    Raises:
        InputError: naming what is wrong with it.
    """
    with folders.checking_text(f"look-ahead {path.name}"):
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["version"] != _VERSION:
            raise InputError(f"version {quoted(said['version'])} is not {_VERSION}")
        config = RunConfig.from_dict(said["config"], seeds=[said["seed"]])
        if said["id"] != config.id:
            raise InputError(f"id {quoted(said['id'])} is not that of its config, {config.id}")
        epochs = {task: tuple(map(float, means)) for task, means in dict(said["affinity"]).items()}
        joint = JointRun(config, LookAhead(epochs, tuple(said["looks"])), dict(said["made"]))
        if joint.to_dict() != said:
            raise InputError("it is not as it was written, by its hash; compute it again")
    return joint


def _check_made(made: Mapping[str, Any]) -> None:
    if strange := sorted({*made} - {*_MADE}):
        raise InputError(f"made says {quoted(strange[0])}; it may say: {', '.join(_MADE)}")
    seconds = checks.finite("duration_seconds", made.get("duration_seconds", 0.0))
    if not 0 <= seconds <= _MOST_SECONDS:
        raise InputError(f"duration_seconds {seconds:g} is not a length of time")
    if "created" in made:
        try:
            time.strptime(str(made["created"])[:19], "%Y-%m-%dT%H:%M:%S")
        except ValueError:
            raise InputError(f"created {quoted(made['created'])} is not a time") from None
    versions = made.get("versions", {})
    if not isinstance(versions, dict) or len(versions) > _MOST_NAMES:
        raise InputError(f"versions {quoted(versions)} are not those of some libraries")
    for text in (*versions, *versions.values()):
        checks.plain_text("versions", text)
    for name in ("created", "device", "data_fingerprint", "command"):
        checks.plain_text(name, made.get(name, ""))


def _sound(path: Path) -> JointRun | None:
    try:
        return read(path)
    except InputError:
        return None  # `doctor` says why; it can be computed again


def _on_this_data(joint: JointRun) -> bool:
    try:
        here = kinds.of(joint.config).fingerprint(joint.config)
    except DataMissing:
        return True  # nothing here contradicts it
    except InputError:
        return False
    return bool(joint.made.get("data_fingerprint") == here)


def path_in(folder: Path, config: RunConfig) -> Path:
    """Where the look-ahead of a joint run lies in a folder of them."""
    return folder / config.setting / f"{config.target}--{config.id}-{config.seeds[0]}.json"


_known: "kept.Kept[JointRun | None]" = kept.Kept(most=64)
