"""Parcels: artifacts as anybody may have packed them, unpacked into folders of ours, within bounds.

Beside the folders of artifacts there may be ``look_ahead/SETTING/NAME.json``, see ``look_aheads``.
Only the files' names and sizes are looked at here, not their content.
"""

import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from mtl_core.errors import InputError, quoted
from mtl_core.runs.kinds import KINDS
from mtl_core.runs.library import folders, look_aheads
from mtl_core.runs.library.folders import MANIFEST
from mtl_core.runs.library.soundness import MOST_FILE_BYTES, too_large

__all__ = ["MOST_ARTIFACTS", "MOST_BYTES", "Parcel", "copied", "copy", "loose", "unzipped"]

MOST_ARTIFACTS = 500  # in one zip file
MOST_BYTES = 128 * 2**20  # unpacked, all of a zip file
_MOST_LOOK_AHEADS = 200
_MOST_DEPTH = 6  # folders around an artifact
_LITTER = (
    "__macosx",
    ".ds_store",
    ".appledouble",
    ".spotlight-v100",
    ".trashes",
    ".fseventsd",
    ".localized",
    "icon\r",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    ".directory",
)
"""What other systems put into zip files unasked, in small letters."""
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for files that are damaged, encrypted, or packed in other ways."""


class Parcel(NamedTuple):
    """What was unpacked: what each is called there, to where it is now, which is named by us.

    Args:
        found: the artifacts' folders.
        ahead: the look-aheads' files.
    """

    found: dict[str, Path]
    ahead: dict[str, Path]


def unzipped(file: IO[bytes], scratch: Path) -> Parcel:
    """Unpack a zip file into a folder.

    Raises:
        InputError: for what is not sound, or holds other files than artifacts have.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _unzip(archive, scratch)
    except _BAD_ZIP as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"it is not a sound zip file ({folders.first_line(error)})") from error


def loose(files: Mapping[str, IO[bytes]], scratch: Path) -> Parcel:
    """As ``unzipped``, for one artifact as its files, by name."""
    folder = scratch / "0"
    folder.mkdir()
    for name, file in files.items():
        if (path := _member(name)) is not None:
            copy(file, folder / path.name, name, MOST_BYTES)
    return Parcel({"": folder}, {})


def copied(found: Sequence[Path], root: Path, scratch: Path) -> Parcel:
    """As ``unzipped``, for folders below a root; other files in them are ignored."""
    left = MOST_BYTES
    places: dict[str, Path] = {}
    ahead: dict[str, Path] = {}
    for number, folder in enumerate(found):
        places[str(folder.relative_to(root))] = to = scratch / str(number)
        to.mkdir()
        for name in [name for name in _files() if (folder / name).is_file()]:
            with (folder / name).open("rb") as file:
                left -= copy(file, to / name, name, left)
    for path in sorted(root.glob(f"{look_aheads.FOLDER}/*/*.json"))[: _MOST_LOOK_AHEADS + 1]:
        to = ahead[str(path.relative_to(root))] = _place(scratch, ahead)
        with path.open("rb") as file:
            left -= copy(file, to, path.name, left)
    return Parcel(places, ahead)


def _unzip(archive: zipfile.ZipFile, scratch: Path) -> Parcel:
    """Unpack files of known names, each artifact into a folder that is named by us."""
    paths = [(member, _member(member.filename)) for member in archive.infolist()]
    members = [(member, path) for member, path in paths if path is not None]
    most = MOST_ARTIFACTS * (1 + max(len(kind.tables) for kind in KINDS.values()))
    if (count := sum(not _is_ahead(path) for _, path in members)) > most:
        raise InputError(f"it holds {count} files, more than {MOST_ARTIFACTS} artifacts do")
    if (size := sum(member.file_size for member, _ in members)) > MOST_BYTES:
        raise InputError(too_large("it", size, MOST_BYTES))
    found: dict[str, Path] = {}
    ahead: dict[str, Path] = {}
    left = MOST_BYTES
    for member, path in members:
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{quoted(member.filename)} is a link")
        if _is_ahead(path):
            if str(path) in ahead:
                raise InputError(f"it holds {quoted(member.filename)} twice")
            to = ahead[str(path)] = _place(scratch, ahead)
        else:
            folder = found.setdefault(str(path.parent), scratch / str(len(found)))
            folder.mkdir(exist_ok=True)
            to = folder / path.name
        if to.exists():
            raise InputError(f"it holds {quoted(member.filename)} twice")
        with archive.open(member) as file:
            left -= copy(file, to, member.filename, left)
    return Parcel(found, ahead)


def _is_ahead(path: PurePosixPath) -> bool:
    """Whether a member is a look-ahead, by its place."""
    return path.parent.parent.name == look_aheads.FOLDER and path.suffix == ".json"


def _place(scratch: Path, ahead: Mapping[str, Path]) -> Path:
    """Where the next look-ahead goes. Raises InputError where there are too many."""
    if len(ahead) >= _MOST_LOOK_AHEADS:
        raise InputError(f"it holds more than {_MOST_LOOK_AHEADS} look-aheads")
    return scratch / f"ahead-{len(ahead)}.json"


def _files() -> tuple[str, ...]:
    """The files that an artifact of any kind may have."""
    tables = dict.fromkeys(name for kind in KINDS.values() for name in kind.tables)
    return (MANIFEST, *(f"{name}.parquet" for name in tables))


def _member(name: str) -> PurePosixPath | None:
    """The path of a file that an artifact may have; None for a folder, and for litter.

    Raises:
        InputError: for any other file.
    """
    plain = name.replace("\\", "/")  # as some systems write it
    path = PurePosixPath(plain)
    parts = [part for part in path.parts if part.lower() not in _LITTER]
    strange = any(re.search(r"[:\x00-\x1f]", part) for part in parts)
    if path.is_absolute() or ".." in parts or strange:
        raise InputError(f"{quoted(name)} points out of it")
    litter = path.name.startswith("._") or len(parts) < len(path.parts)
    if plain.endswith("/") or litter:
        return None
    if path.name not in (files := _files()) and not _is_ahead(path):
        raise InputError(f"{quoted(name)} is none of an artifact's files: {', '.join(files)}")
    if len(path.parts) > _MOST_DEPTH:
        raise InputError(f"{quoted(name)} lies too deep")
    return path


def copy(file: IO[bytes], to: Path, name: str, left: int | None = None) -> int:
    """Copy a file whose stated size may be wrong; returns its size.

    Args:
        name: what the user calls it.
        left: bytes that it may have, and no more than one file of an artifact may; None for a zip
            file.

    Raises:
        InputError: for a larger one.
    """
    most = MOST_BYTES if left is None else min(MOST_FILE_BYTES, left)
    size = 0
    with to.open("xb") as out:
        while part := file.read(2**20):
            size += len(part)
            if size > most:
                raise InputError(too_large(name if left is None else quoted(name), size, most))
            out.write(part)
    return size
