"""Parcels: artifacts come out however they are packed, and what is no parcel harms nothing."""

import io
import re
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts, parcels, soundness
from mtl_core.runs.library.exchange import Received
from tests.runs.library.receiving import Files, left, receive, refused
from tests.runs.library.tampering import pickled, zipped


@pytest.mark.parametrize("folder", ["", "run/", "cache/digits/deep/", "run\\", "a\\b/c\\"])
def test_folders_around_the_files_do_not_matter(files: Files, config: Any, folder: str) -> None:
    (received,) = receive(zipped(files, folder))
    assert (received.run, received.seeds) == (config.id, (0, 1))


def test_litter_of_other_systems_is_ignored(files: Files, config: Any) -> None:
    litter = {
        "__MACOSX/r/._manifest.json": b"\0",
        "__MACOSX/r/anything.pkl": b"x",
        "r/.DS_Store": b"\0",
        "r/._front.parquet": b"\0",
        "r\\Thumbs.db": b"\0",
        "r/Icon\r": b"",
        "r/.Trashes/1/x": b"x",
        "desktop.ini": b"x",
        "r/": b"",
        "empty\\": b"",
    }
    parts = {f"r/{name}": content for name, content in files.items()}
    assert receive(zipped(litter | parts, "")) == [Received(config.id, (0, 1))]
    assert sorted(path.name for path in (artifacts.imported_dir() / config.id).iterdir()) == (
        sorted(files)
    )
    with pytest.raises(InputError, match=r"a\.zip: it holds no manifest\.json"):
        receive(zipped(litter, ""))
    with pytest.raises(InputError, match=r"'__MACOSX/\.\./\.\./\.DS_Store' points out of it"):
        receive(zipped(parts | {"__MACOSX/../../.DS_Store": b""}, ""))


@pytest.mark.parametrize(
    "name",
    ["..\\manifest.json", "r\\..\\..\\manifest.json", "C:\\manifest.json",
     "\\\\host\\manifest.json", "\\manifest.json", "c:manifest.json", "/manifest.json",
     "r/../../manifest.json"],
)  # fmt: skip
def test_no_separator_leads_out(files: Files, name: str) -> None:
    said = refused(
        zipped({f"r/{one}": content for one, content in files.items()} | {name: b""}, "")
    )
    assert "points out of it" in said


def test_random_bytes_are_never_a_traceback(files: Files) -> None:
    random = np.random.default_rng(0)
    sound = zipped(files).getvalue()
    said = []
    for _ in range(60):
        content = bytearray(sound)
        for place in random.integers(0, len(content), 3):
            content[place] ^= int(random.integers(1, 256))
        try:
            receive(bytes(content))
        except InputError as error:
            said.append(str(error))
    assert len(said) > 30
    assert all(len(line.splitlines()) == 1 for line in said)


def link(name: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return io.BytesIO(buffer.getvalue())


def twice(manifest: bytes, other: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("run/manifest.json", manifest)
        archive.writestr(zipfile.ZipInfo(other), b"{}")
    return io.BytesIO(buffer.getvalue())


def lie() -> io.BytesIO:
    """A file that unpacks to more than the directory says."""
    content = zipped({"manifest.json": b" " * 2**26}).getvalue()
    size = (2**26).to_bytes(4, "little")
    return io.BytesIO(content.replace(size, (100).to_bytes(4, "little")))


def encrypted(files: Files) -> io.BytesIO:
    """With the flag set that says so, in both places."""
    content = bytearray(zipped(files).getvalue())
    for head, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(head), bytes(content)):
            content[found.start() + flag] |= 1
    return io.BytesIO(bytes(content))


BAD_ZIPS: Mapping[str, tuple[Callable[[Files], io.BytesIO], str]] = {
    "not a zip": (lambda f: io.BytesIO(b"PK no"), "it is not a sound zip file (File is not a zip"),
    "empty": (lambda f: io.BytesIO(b""), "it is not a sound zip file (File is not a zip file)"),
    "empty zip": (lambda f: zipped({}), "it holds no manifest.json"),
    "cut short": (lambda f: io.BytesIO(zipped(f).getvalue()[:-400]), "it is not a sound zip file"),
    "damaged inside": (
        lambda f: io.BytesIO(zipped(f).getvalue().replace(b"PK\x03\x04", b"PK\x03\x05", 1)),
        "it is not a sound zip file (Bad magic number",
    ),
    "pickle beside": (
        lambda f: zipped(f | {"model.pkl": pickled()}),
        "'run/model.pkl' is none of an artifact's files: manifest.json, trajectory.parquet",
    ),
    "path upwards": (
        lambda f: zipped(f | {"../../manifest.json": b"{}"}),
        "'run/../../manifest.json' points out of it",
    ),
    "table upwards": (
        lambda f: zipped(f | {"../../front.parquet": b""}),
        "'run/../../front.parquet' points out of it",
    ),
    "Windows path upwards": (
        lambda f: zipped(f | {"..\\..\\manifest.json": b"{}"}),
        "'run/..\\\\..\\\\manifest.json' points out of it",
    ),
    "absolute path": (
        lambda f: zipped({"/tmp/manifest.json": b"{}"}, ""),
        "'/tmp/manifest.json' points out of it",
    ),
    "Windows path": (
        lambda f: zipped({"C:\\manifest.json": b"{}"}, ""),
        "'C:\\\\manifest.json' points out of it",
    ),
    "Windows share": (
        lambda f: zipped({"\\\\host\\share\\manifest.json": b"{}"}, ""),
        "manifest.json' points out of it",
    ),
    "deep path": (lambda f: zipped(f, "a/" * 9), "lies too deep"),
    "deep Windows path": (lambda f: zipped(f, "a\\" * 9), "lies too deep"),
    "link": (lambda f: link("run/manifest.json"), "'run/manifest.json' is a link"),
    "twice": (
        lambda f: twice(f["manifest.json"], "run//manifest.json"),
        "it holds 'run//manifest.json' twice",
    ),
    "twice on Windows": (
        lambda f: twice(f["manifest.json"], "run\\manifest.json"),
        "it holds 'run\\\\manifest.json' twice",
    ),
    "same run twice": (
        lambda f: zipped({f"{p}/{n}": c for p in "ab" for n, c in f.items()}, ""),
        "it holds run {id} twice",
    ),
    "large file": (
        lambda f: zipped(f | {"manifest.json": b" " * (soundness.MOST_FILE_BYTES + 1)}),
        "'run/manifest.json' unpacks to 32 MB or more, above the limit of 32 MB",
    ),
    "many large files": (
        lambda f: zipped({f"{p}/manifest.json": b" " * 2**25 for p in "abcde"}, ""),
        "it unpacks to 160 MB or more, above the limit of 128 MB",
    ),
    "lie about its size": (lambda f: lie(), "it is not a sound zip file"),
    "too many files": (
        lambda f: zipped({f"{n}/manifest.json": b"" for n in range(2001)}, ""),
        f"it holds 2001 files, more than {parcels.MOST_ARTIFACTS} artifacts do",
    ),
    "encrypted": (encrypted, "it is not a sound zip file"),
    "strange folder": (
        lambda f: zipped({"manifest.json": b""}, "\u2028" + "![x](https://example.org)" * 99 + "/"),
        "'\\u2028![x](https://example.org)",
    ),
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_what_is_not_sound_is_named_and_leaves_nothing(
    files: Files, config: Any, other: str, tmp_path: Path, kind: str
) -> None:
    spoiled, reason = BAD_ZIPS[kind]
    assert reason.replace("{id}", config.id) in refused(spoiled(files))
    assert left() == [other]
    assert not (tmp_path / "boom").exists()
