"""Artifacts: an experiment's finished runs as files, Parquet tables beside a JSON manifest.

An artifact is a folder with a file for each table of its kind that has rows, and ``manifest.json``:

    schema_version, kind, numbers    of this format; of its experiment; ``measured``
    id, config                       the experiment, without seeds
    made                             where its runs come from: groups of ``seeds`` with ``created``,
                                     ``device``, ``versions``, ``data_fingerprint``,
                                     ``duration_seconds`` (of all of them) and ``factors``: how each
                                     quantity was measured
    notes                            why quantities are missing, or measured another way
    former                           ids that it had when seeds were a part of them, and those of
                                     coarser experiments whose place it took, to these seeds
    own                              only where it is on a user's own data: what that is
    tables                           rows, columns and hash of each table
    blake2b                          hash of all of this; older manifests lack it
    error                            only where it holds the beginning of its runs: why

Nothing in it is ever unpickled, and everything is checked before it is shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import checks
from mtl_core.data import stored
from mtl_core.errors import InputError, quoted
from mtl_core.kept import Kept
from mtl_core.places import shipped
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Kind, Piece
from mtl_core.runs.library import folders, remembered
from mtl_core.runs.provenance import provenance as taken
from mtl_core.runs.provenance import versions
from mtl_core.runs.queue.file import default_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARTIFACT_VERSION",
    "Artifact",
    "Content",
    "cache_dir",
    "collected",
    "content",
    "doubted",
    "former_id",
    "glance",
    "grouped",
    "imported_dir",
    "joined",
    "provenance",
    "read",
    "reread",
    "scan",
    "versions",
    "write",
]

ARTIFACT_VERSION = 3
_NUMBERS = ("measured", "published")
Made = Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A validated artifact; ``table`` reads its tables.

    Args:
        config: the experiment; its seeds are those of the artifact.
        unread: its files as they were hashed, where its rows are checked when they are first read;
            None where they have been.
    """

    folder: Path
    config: Any
    manifest: Mapping[str, Any]
    unread: folders.Stamps | None = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> Kind:
        return kinds.of(self.config)

    @property
    def unfinished(self) -> str | None:
        """Why it holds only the beginning of its runs; None when it holds all of them."""
        error = self.manifest.get("error")
        return None if error is None else str(error)

    @property
    def imported(self) -> bool:
        """Whether a user brought it from another machine; it did not ship with the app."""
        return self.folder.is_relative_to(imported_dir())

    @property
    def made(self) -> tuple[Made, ...]:
        """Where its runs come from, in groups of seeds."""
        return tuple(self.manifest["made"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Why quantities are missing, or measured another way."""
        return tuple(self.manifest["notes"])

    @property
    def former(self) -> dict[str, tuple[int, ...]]:
        """Ids of before that lead to it, to the seeds that they mean."""
        return {run: tuple(seeds) for run, seeds in self.manifest["former"].items()}

    @property
    def stamp(self) -> str:
        """Changes when its main table does."""
        return str(self.manifest["tables"][self.kind.main]["blake2b"])

    def table(self, name: str) -> "pd.DataFrame":
        """One of its kind's tables; maybe without rows.

        Raises:
            InputError: naming what is wrong with its rows, where nobody has checked them before;
                ``glance`` passes over it from then on.
        """
        if self.unread is not None:
            _ = self._sound
        return self._rows(name)

    @cached_property
    def _sound(self) -> bool:
        """True once its rows were checked. Raises InputError."""
        try:
            with folders.checking(self.folder):
                _check_rows(self, anew=False)
        except InputError as error:
            _doubts[self.folder, self.unread] = str(error)
            raise
        return True

    def _rows(self, name: str) -> "pd.DataFrame":
        said = self.manifest["tables"].get(name)
        if said is None:
            return self.kind.tables[name].frame([])
        return _table(self.folder / f"{name}.parquet", self.kind.name, said["blake2b"]).copy()


@dataclass(frozen=True)
class Content:
    """What an artifact holds, on its way to a folder.

    Args:
        config: the experiment; its seeds are those of the tables.
        tables: all of its kind's, by name.
        made: groups of seeds with their provenance, as in a manifest.
        former: as in a manifest.
        error: why the runs are not finished, if they are not.
    """

    config: Any
    tables: "Mapping[str, pd.DataFrame]"
    made: Sequence[Made]
    notes: Sequence[str] = ()
    former: Mapping[str, Sequence[int]] = field(default_factory=dict)
    error: str | None = None


def cache_dir() -> Path:
    """The artifacts that ship with the app."""
    return shipped("cache")


def imported_dir() -> Path:
    """The artifacts that users brought from other machines: ``imported/`` beside the store."""
    return default_path().absolute().parent / "imported"


def provenance(config: Any, device: str) -> dict[str, Any]:
    """What decides the numbers of runs of an experiment that begin now, beside the experiment.

    Raises:
        DataMissing: when the experiment's data is not on this machine.
    """
    kind = kinds.of(config)
    return taken(device, kind.fingerprint(config), kind.protocol(config))


# Contents.


def collected(
    config: Any, pieces: Sequence[Piece], made: Made, seconds: float, error: str | None = None
) -> Content:
    """What the pieces of a config's seeds make.

    Args:
        made: ``provenance`` of where they were carried out.
        seconds: how long that took.
    """
    there = sorted({piece.seed for piece in pieces if piece.tables})
    kind = kinds.of(config)
    return Content(
        checks.with_seeds(config, there),
        kind.frames(pieces),
        [{"seeds": there, **made, "duration_seconds": round(seconds, 3)}],
        sorted({note for piece in pieces for note in piece.notes}),
        error=error,
    )


def content(artifact: Artifact, seeds: Sequence[int] | None = None) -> Content:
    """What an artifact holds of some seeds, by default of all."""
    wanted = artifact.config.seeds if seeds is None else tuple(seeds)
    tables = {name: artifact.table(name) for name in artifact.kind.tables}
    return Content(
        checks.with_seeds(artifact.config, wanted),
        {name: rows[rows["seed"].isin(wanted)] for name, rows in tables.items()},
        restricted(artifact.made, wanted),
        artifact.notes,
        artifact.former,
        artifact.unfinished,
    )


def restricted(made: Sequence[Made], seeds: Sequence[int]) -> list[Made]:
    """The groups of some seeds; a group that is cut keeps its share of the duration."""
    found: list[Made] = []
    for group in made:
        kept = [seed for seed in group["seeds"] if seed in seeds]
        if kept:
            share = len(kept) / len(group["seeds"])
            seconds = round(group.get("duration_seconds", 0.0) * share, 3)
            cut = group if share == 1 else {**group, "seeds": kept, "duration_seconds": seconds}
            found.append(cut)
    return found


def joined(parts: Sequence[Content]) -> Content:
    """Contents of one experiment together; of a seed that several have, the first counts."""
    import pandas as pd

    first, kind = parts[0], kinds.of(parts[0].config)
    taken: set[int] = set()
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in kind.tables}
    made: list[Made] = []
    for part in parts:
        new = [seed for seed in part.config.seeds if seed not in taken]
        taken |= {*new}
        made += restricted(part.made, new)
        for name, rows in part.tables.items():
            tables[name].append(rows[rows["seed"].isin(new)])
    return Content(
        checks.with_seeds(first.config, sorted(taken)),
        {
            name: kind.tables[name].tidied(pd.concat([part for part in found if len(part)]))
            if any(map(len, found))
            else kind.tables[name].frame([])
            for name, found in tables.items()
        },
        grouped(made),
        sorted({note for part in parts for note in part.notes}),
        {run: seeds for part in parts for run, seeds in part.former.items()},
        next((part.error for part in parts if part.error), None),
    )


def grouped(made: Sequence[Made]) -> list[Made]:
    """Groups of equal provenance as one, created when the last of them was."""
    own = ("seeds", "created", "duration_seconds")
    groups: list[dict[str, Any]] = []
    for one in made:
        origin = {name: value for name, value in one.items() if name not in own}
        like = next(
            (g for g in groups if {k: v for k, v in g.items() if k not in own} == origin), None
        )
        if like is None:
            groups.append(dict(one))
            continue
        like["seeds"] = sorted([*like["seeds"], *one["seeds"]])
        like["created"] = max(like["created"], one["created"])
        like["duration_seconds"] = round(like["duration_seconds"] + one["duration_seconds"], 3)
    return sorted(groups, key=lambda group: int(group["seeds"][0]))


# Files.


def write(folder: Path, content: Content) -> Path:
    """Write an artifact into ``folder``: afterwards it holds all of it, or is not an artifact.

    Raises:
        InputError: when the folder cannot be written.
    """
    config = content.config
    head = {
        "schema_version": ARTIFACT_VERSION,
        "kind": config.kind,
        "numbers": "measured",
        "id": config.id,
        "config": config.to_dict(),
        "made": list(content.made),
        "notes": list(content.notes),
        "former": {run: list(seeds) for run, seeds in content.former.items()},
        **({"own": own} if (own := kinds.of(config).carried(config)) else {}),
        **({"error": content.error} if content.error else {}),
    }
    return folders.write(folder, head, content.tables)


def read(folder: Path) -> Artifact:
    """Check an artifact and hand it out.

    Raises:
        InputError: naming what is wrong with it.
    """
    return _read(folder, folders.stamps(folder), anew=True)


def reread(folder: Path) -> Artifact:
    """``read``, but for tables that an earlier start found sound, by the hashes that they have.

    Raises:
        InputError: naming what is wrong with it.
    """
    return _read(folder, folders.stamps(folder), anew=False)


def glance(folder: Path) -> Artifact:
    """``read``, but for what its tables say: that is checked when one of them is first read.

    Its files are hashed, so damage shows here already. What is left is whether rows that are as
    they were written can be those of its experiment.

    Raises:
        InputError: naming what is wrong with it.
    """
    stamps = folders.stamps(folder)
    if why := _doubts.get((folder, stamps)):
        raise InputError(why)
    return _glanced(folder, stamps)


def doubted() -> int:
    """How many artifacts turned out to be unsound after a ``glance``; a page looks again then."""
    return len(_doubts)


_doubts: dict[tuple[Path, folders.Stamps | None], str] = {}
"""What is wrong with them."""


@lru_cache(maxsize=4096)
def _glanced(folder: Path, stamps: folders.Stamps) -> Artifact:
    return replace(_hashed(folder), unread=stamps)


@lru_cache(maxsize=4096)
def _read(folder: Path, _stamps: folders.Stamps, *, anew: bool) -> Artifact:
    """Files that have not changed are checked once."""
    artifact = _hashed(folder)
    with folders.checking(folder):
        _check_rows(artifact, anew=anew)
    return artifact


def _check_rows(artifact: Artifact, *, anew: bool) -> None:
    """Raises InputError for rows that are not those of its experiment."""
    mark = remembered.mark(artifact.manifest)
    if anew or not remembered.was_sound(mark):
        tables = {name: artifact._rows(name) for name in artifact.kind.tables}
        artifact.kind.check(artifact.config, tables, artifact.unfinished is None)
        remembered.sound(mark)


def _hashed(folder: Path) -> Artifact:
    """An artifact whose manifest is sound, and whose files are those that it names."""
    with folders.checking(folder):
        manifest = folders.manifest(folder)
        if (schema := manifest["schema_version"]) != ARTIFACT_VERSION:
            raise InputError(f"schema {quoted(schema)} is not {ARTIFACT_VERSION}; export it anew")
        folders.check_manifest(manifest)
        _check_shapes(manifest)
        if "own" in manifest:
            stored.learn(manifest["own"])
        seeds = [seed for group in manifest["made"] for seed in group["seeds"]]
        config = kinds.experiment(manifest["kind"], manifest["config"], seeds=seeds)
        if manifest["id"] != config.id:
            raise InputError(f"id {quoted(manifest['id'])} is not that of its config, {config.id}")
        _check_former(config, manifest["former"])
        artifact = Artifact(folder, config, manifest)
        if artifact.kind.main not in manifest["tables"]:
            raise InputError(f"it has no table {artifact.kind.main}")
        for name, said in manifest["tables"].items():
            if name not in artifact.kind.tables:
                raise InputError(f"{quoted(name)} is not a table of a {artifact.kind.noun}")
            file = folder / f"{name}.parquet"
            if not file.is_file():
                raise InputError(f"it lacks {file.name}")
            if said["blake2b"] != folders.digest(file):
                raise InputError(f"{file.name} is not the file that the manifest describes")
    return artifact


def _check_shapes(manifest: Mapping[str, Any]) -> None:
    for name, kind in (("made", list), ("notes", list), ("former", dict), ("tables", dict)):
        if not isinstance(manifest[name], kind):
            raise InputError(f"{name} {quoted(manifest[name])} is not a JSON {_JSON[kind]}")
    if manifest["numbers"] not in _NUMBERS:
        raise InputError(f"numbers {quoted(manifest['numbers'])} is none of: {', '.join(_NUMBERS)}")
    for group in manifest["made"]:
        seeds = group.get("seeds") if isinstance(group, dict) else None
        if not (seeds and isinstance(seeds, list)):
            raise InputError(f"made {quoted(group)} is not an object with seeds")


_JSON = {list: "list", dict: "object"}


def _check_former(config: Any, former: Mapping[str, Any]) -> None:
    """Former ids hash what they were of, so that nobody can claim those of other experiments."""
    for run, seeds in former.items():
        coarser = kinds.of(config).coarser(config)
        known = {former_id(one, seeds) for one in (config, *coarser)}
        if run not in known | {one.id for one in coarser}:
            raise InputError(f"former {quoted(run)} was no id of its config")


def former_id(config: Any, seeds: Sequence[int]) -> str:
    """The id that an experiment had for some seeds when they were a part of it."""
    return checks.content_id({**config.to_dict(), "seeds": list(checks.seeds(seeds))})


def scan(
    root: Path | None = None, read: Callable[[Path], Artifact] = reread
) -> tuple[dict[str, Artifact], list[str]]:
    """All finished artifacts below ``root`` (default: the shipped) by id, and what was skipped.

    Args:
        read: reads one folder; raises InputError. ``artifacts.read`` checks all of it anew,
            ``artifacts.glance`` leaves the rows until they are read.
    """
    found: dict[str, Artifact] = {}
    problems: list[str] = []
    for folder in folders.found(root or cache_dir()):
        try:
            artifact = read(folder)
        except InputError as error:
            problems.append(str(error))
            continue
        if artifact.unfinished is not None:
            why = folders.brief(artifact.unfinished)
            problems.append(f"artifact {folder.name} is unfinished: {why}")
        else:
            found[artifact.config.id] = artifact
    remembered.keep()
    return found, problems


def _table(path: Path, kind: str, digest: str) -> "pd.DataFrame":
    return _tables.get((path, kind), lambda: _read_table(path, kind, digest), digest)


_tables: "Kept[pd.DataFrame]" = Kept(
    most=512, most_bytes=16 * 2**20, size=lambda rows: int(rows.memory_usage().sum())
)


def _read_table(path: Path, kind: str, digest: str) -> "pd.DataFrame":
    if path.is_file() and folders.digest(path) != digest:
        raise InputError(f"{path.name} was replaced a moment ago; look again")
    return folders.table(path, kinds.get(kind).tables[path.stem])
