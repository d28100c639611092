"""Exchange: artifacts as zip files, out of this machine and into it, with their look-aheads.

What comes in may come from anybody. It is unpacked into a folder of its own, never unpickled, and
checked in every way that a shipped artifact is before it is moved to ``artifacts.imported_dir()``.
What is here already stays: only runs that are new are taken in.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from filelock import FileLock, Timeout

from mtl_core import checks
from mtl_core.data import stored
from mtl_core.errors import InputError, quoted
from mtl_core.runs.library import artifacts, customs, folders, look_aheads, older, parcels
from mtl_core.runs.library.answers import Answer, Answers, Origin
from mtl_core.runs.library.artifacts import Artifact, Content
from mtl_core.runs.library.folders import MANIFEST, SCRATCH
from mtl_core.runs.library.look_aheads import JointRun
from mtl_core.runs.library.parcels import Parcel
from mtl_core.runs.library.soundness import checked

__all__ = [
    "Received",
    "broken",
    "imported",
    "pack",
    "receive_files",
    "receive_path",
    "receive_zip",
    "remove",
]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say


@dataclass(frozen=True)
class Received:
    """What became of an experiment that was brought here.

    Args:
        run: its id.
        seeds: of the runs that were taken in; none when all were here already.
        kept: seeds of the runs that were here already, and stay, to where they are.
        foretold: whether a look-ahead that says something of it was taken in with it.
    """

    run: str
    seeds: tuple[int, ...] = ()
    kept: Mapping[int, Origin] = field(default_factory=dict)
    foretold: bool = False


# In.


def receive_zip(file: IO[bytes], name: str, answers: Answers) -> list[Received]:
    """Take in the artifacts of a zip file: all of them, or none when one is not sound.

    Args:
        file: seekable.
        name: what the user calls it.
        answers: what is here already, and stays.

    Returns:
        Each experiment once.

    Raises:
        InputError: naming the file and what is wrong.
    """
    return _receive(name, partial(_unzipped, file), answers)


def receive_files(files: Mapping[str, IO[bytes]], answers: Answers) -> list[Received]:
    """Take in one artifact as its files, by name. Raises InputError."""
    unpack = partial(parcels.loose, files)
    name = " + ".join(sorted(files))
    return _receive(name, lambda scratch: customs.inspected(scratch, unpack(scratch)), answers)


def receive_path(path: Path, answers: Answers) -> list[Received]:
    """Take in a zip file, or a folder that is an artifact or holds some. Raises InputError."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return receive_zip(file, path.name, answers)
        found = folders.found(path)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from error
    if not found:
        raise InputError(f"{path} holds no {MANIFEST}; give an artifact's folder or a zip file")
    copy = partial(parcels.copied, found, path)
    return _receive(path.name, lambda scratch: customs.inspected(scratch, copy(scratch)), answers)


def _unzipped(file: IO[bytes], scratch: Path) -> Parcel:
    """What is in a zip file, which is sound, in the scratch folder."""
    file.seek(0)
    parcels.copy(file, scratch / customs.PARCEL, "it")
    try:
        return customs.inspected(scratch)
    finally:
        (scratch / customs.PARCEL).unlink(missing_ok=True)


def _receive(name: str, fill: Callable[[Path], Parcel], answers: Answers) -> list[Received]:
    """Fill a scratch folder with artifacts, check all of them, and then move them in.

    Args:
        fill: unpacks into the scratch folder. All is sound; it is checked once more as it is read.
    """
    imported()  # brought up to date
    with _scratch() as scratch:
        try:
            parcel = fill(scratch)
            if not parcel.found:
                raise InputError(f"it holds no {MANIFEST}")
            sound = [checked(folder, place) for place, folder in parcel.found.items()]
            runs = [(one.config.id, one.config.seeds) for one in sound]
            if twice := sorted({run for run in runs if runs.count(run) > 1}):
                raise InputError(f"it holds run {twice[0][0]} twice")
            ahead = _ahead(parcel, [one.config for one in sound])
            with _alone():
                here = Answers(answers.store, answers.shipped, _sound())
                moves = [_planned(parts, here, scratch) for parts in _by_experiment(sound)]
                for own in [one.manifest["own"] for one in sound if "own" in one.manifest]:
                    stored.settle(own)
                for move in moves:
                    move.carry_out(scratch)
                new = [joint for joint in ahead if look_aheads.settle(joint)]
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        except OSError as error:
            raise InputError(f"{name} cannot be unpacked ({error.strerror})") from error
    configs = {one.config.id: one.config for one in sound}
    return [
        replace(
            move.received,
            foretold=any(look_aheads.foretells(one, configs[move.received.run]) for one in new),
        )
        for move in moves
    ]


def _ahead(parcel: Parcel, configs: Sequence[Any]) -> list[JointRun]:
    """The look-aheads of a parcel. Raises InputError for one that is of other experiments."""
    found = []
    for place, file in parcel.ahead.items():
        found.append(joint := look_aheads.checked(file))
        if not any(look_aheads.foretells(joint, config) for config in configs):
            raise InputError(f"{quoted(place)} foretells none of the experiments that it is with")
    return found


def _by_experiment(sound: Iterable[Artifact]) -> list[list[Artifact]]:
    """Older versions wrote several of one experiment; the one with most seeds comes first."""
    found: dict[str, list[Artifact]] = {}
    for artifact in sound:
        found.setdefault(artifact.config.id, []).append(artifact)
    return [sorted(parts, key=lambda one: -len(one.config.seeds)) for parts in found.values()]


class _Move(NamedTuple):
    """An artifact that is ready to be put among the imported.

    Args:
        new: where it is; None where nothing is to be done.
        gone: the one that is there, whose runs it holds too.
    """

    received: Received
    new: Path | None = None
    gone: Path | None = None

    def carry_out(self, scratch: Path) -> None:
        """At every moment one of the two is there, so a kill in between loses nothing."""
        place = artifacts.imported_dir() / self.received.run
        if self.new is not None and self.gone is None:
            os.replace(self.new, place)
        elif self.new is not None and self.gone is not None:
            beside = place.with_name(f"{place.name}~{scratch.name.removeprefix(SCRATCH)}")
            os.replace(self.new, beside)
            os.replace(self.gone, scratch / f"{place.name}~")
            os.replace(beside, place)


def _planned(parts: Sequence[Artifact], here: Answers, scratch: Path) -> _Move:
    """Which runs of an experiment are new, and an artifact of these and of what is there."""
    config = parts[0].config
    every = {seed for part in parts for seed in part.config.seeds}
    answer = here.find(checks.with_seeds(config, every))
    origins = ((seed, answer.origin(seed)) for seed in answer.done)
    kept = {seed: origin for seed, origin in origins if origin is not None}
    new = tuple(seed for seed in answer.config.seeds if seed not in kept)
    received = Received(config.id, new, kept)
    if not new:
        return _Move(received)
    there = _in_place(answer)
    if there is None and len(parts) == 1 and not kept:
        return _Move(received, parts[0].folder)
    able = [(part, [seed for seed in part.config.seeds if seed in new]) for part in parts]
    contents = [artifacts.content(part, seeds) for part, seeds in able if seeds]
    return _joined(received, there, contents, scratch)


def _in_place(answer: Answer) -> Artifact | None:
    """The imported artifact of an experiment. Raises InputError where a damaged one is."""
    run, there = answer.config.id, answer.imported
    place = artifacts.imported_dir() / run
    if place.exists() and (there is None or there.folder != place):
        raise InputError(f"run {run} is here already, damaged ({_why(place)}); delete that first")
    return there


def _joined(
    received: Received, there: Artifact | None, contents: Sequence[Content], scratch: Path
) -> _Move:
    before = [] if there is None else [artifacts.content(there)]
    to = scratch / f"{received.run}-joined"
    artifacts.write(to, artifacts.joined([*before, *contents]))
    artifacts.read(to)  # before what it was made of goes
    return _Move(received, to, None if there is None else there.folder)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder beside the imported artifacts, from which a move is one step."""
    root = artifacts.imported_dir()
    folders.check_writable(root)
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=SCRATCH) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise InputError(f"cannot write {root} ({error.strerror}); free some disk space") from error


@contextmanager
def _alone() -> Iterator[None]:
    """No other session or process moves imported artifacts meanwhile."""
    root = artifacts.imported_dir()
    try:
        with FileLock(root.with_name(f"{root.name}.lock"), timeout=30):
            yield
    except Timeout:
        raise InputError("another import takes long; try again when it is over") from None


# Here.


def imported() -> tuple[dict[str, Artifact], list[str]]:
    """The artifacts that were brought to this machine by id, and what is wrong with others.

    Looked at again when one came or went, whichever process or session did that. Those of older
    schemas are converted then.
    """
    found, problems, _ = _imported(artifacts.imported_dir(), _stamps())
    return dict(found), list(problems)


def broken() -> dict[Path, str]:
    """Folders among the imported artifacts that hold none which can be shown, and why."""
    found, _, older_ones = _imported(root := artifacts.imported_dir(), stamps := _stamps())
    sound = {artifact.folder for artifact in found.values()}
    reasons = {}
    for folder in (root / name for name, _ in stamps):
        if folder.exists() and not any(one.is_relative_to(folder) for one in sound):
            said = (why for one, why in older_ones.items() if one.is_relative_to(folder))
            reasons[folder] = next(said, None) or _why(folder)
    return reasons


def remove(folder: Path) -> None:
    """Delete an imported artifact. Raises InputError for any other folder."""
    root = artifacts.imported_dir()
    named = folder.parent == root and folder.name != ".."
    if not named or not folder.is_dir() or folder.is_symlink():
        raise InputError(f"{folder} is not a folder in {root}; only imported artifacts are deleted")
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=SCRATCH) as scratch:
            os.replace(folder, Path(scratch) / folder.name)  # gone at once, or not at all
    except OSError as error:
        raise InputError(f"cannot delete {folder} ({error.strerror})") from error


@lru_cache(maxsize=1)
def _imported(
    root: Path, stamps: tuple[tuple[str, int], ...]
) -> tuple[dict[str, Artifact], list[str], dict[Path, str]]:
    """Artifacts by id, what is wrong with others, and folders that hold some of older schemas that
    cannot be converted, with why."""
    if not stamps:
        return {}, [], {}
    left = _bring_up_to_date(root) if any(map(older.is_older, folders.found(root))) else {}

    def read(folder: Path) -> Artifact:
        if folder in left:
            raise InputError(left[folder])
        return artifacts.reread(folder)

    return *artifacts.scan(root, read), left


def _bring_up_to_date(root: Path) -> dict[Path, str]:
    """Convert artifacts of older schemas; returns the folders of those that stay, and why."""
    left: dict[Path, str] = {}
    old: list[Path] = []
    try:
        with _scratch() as scratch, _alone():
            old = [folder for folder in folders.found(root) if older.is_older(folder)]
            sound: dict[Path, Artifact] = {}
            for number, folder in enumerate(old):
                try:
                    (to := scratch / str(number)).mkdir()
                    (copy,) = parcels.copied([folder], root, to).found.values()
                    sound[folder] = checked(copy, folder.name)
                except InputError as error:
                    left[folder] = f"artifact {folders.brief(error)}"
            here = Answers(None, {}, _sound())
            for parts in _by_experiment(sound.values()):
                there = _in_place(here.find(parts[0].config))
                contents = [artifacts.content(part) for part in parts]
                _joined(Received(parts[0].config.id), there, contents, scratch).carry_out(scratch)
            for number, folder in enumerate(sound):
                os.replace(folder, scratch / f"old-{number}")
    except InputError as error:
        return dict.fromkeys(old, str(error)) | left
    return left


def _sound() -> dict[str, Artifact]:
    """The imported artifacts as they are now, without those of older schemas."""
    root = artifacts.imported_dir()
    return artifacts.scan(root)[0]


def _why(folder: Path) -> str:
    """What is wrong with an imported artifact."""
    try:
        unfinished = artifacts.read(folder).unfinished
    except InputError as error:
        return str(error)
    return "it has another's id" if unfinished is None else folders.brief(unfinished)


def _stamps() -> tuple[tuple[str, int], ...]:
    """The folders in ``imported_dir``, each with when it was changed last."""
    try:
        with os.scandir(artifacts.imported_dir()) as found:
            return tuple(
                sorted(
                    (folder.name, folder.stat().st_mtime_ns)
                    for folder in found
                    if folder.is_dir() and not folder.name.startswith(SCRATCH)
                )
            )
    except OSError:
        return ()


# Out.


def pack(found: Sequence[Answer], answers: Answers) -> bytes:
    """The finished runs of experiments as a zip file with a folder for each, named by its id.

    Look-aheads that were computed here go with the experiments that they foretell; others ship.

    Args:
        found: experiments; those of the runs that they ask for go out which are finished.
        answers: where the runs are read.

    Raises:
        InputError: for an experiment without any, or that cannot be read.
    """
    asked: dict[str, set[int]] = {}
    for answer in found:
        asked.setdefault(answer.config.id, set()).update(answer.config.seeds)
    every = {one.config.id: one for one in found}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for run, answer in every.items():
            whole = answers.find(checks.with_seeds(answer.config, asked[run]))
            for name, content in _files(answers.content(whole)):
                _pack(archive, f"{run}/{name}", content)
        for joint in look_aheads.going_with([one.config for one in every.values()]):
            place = look_aheads.path_in(Path(look_aheads.FOLDER), joint.config)
            text = json.dumps(joint.to_dict(), ensure_ascii=False, allow_nan=False)
            _pack(archive, place.as_posix(), text.encode())
    return buffer.getvalue()


def _pack(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)


def _files(content: Content) -> list[tuple[str, bytes]]:
    """What the files of an artifact would be, by name."""
    try:
        with tempfile.TemporaryDirectory(prefix="mtl-export-") as scratch:
            folder = artifacts.write(Path(scratch), content)
            return [(file.name, file.read_bytes()) for file in sorted(folder.iterdir())]
    except OSError as error:
        raise InputError(f"run {content.config.id} cannot be exported ({error})") from error
