"""States that are too large for SQLite, whose values end at a gigabyte: files beside the store.

A row has the name of its file in the place of the state. The name ends with the hash of what is in
the file, so that a damaged or foreign one is known for what it is.
"""

import hashlib
import os
import re
import sqlite3
from pathlib import Path

from mtl_core.errors import StoreError

__all__ = ["Beside"]

LARGE_BYTES = 256 * 2**20
"""States from this size on are kept in files: those of RoBERTa-base with Adam have 1.5 GB."""
_NAME = re.compile(rb"beside: (\d+-[0-9a-f]{32})")


class Beside:
    """The files of a store's large states.

    Args:
        store: the store's path.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store.with_name(f"{store.name}.states")

    def put(self, number: int, content: bytes) -> bytes:
        """What to keep of a run's state in the store: itself, or the name of its file.

        Raises StoreError where that cannot be written.
        """
        if len(content) < LARGE_BYTES:
            return content
        name = f"{number}-{_hash(content)}"
        part = self._folder / f"{name}.part"
        try:
            self._folder.mkdir(exist_ok=True)
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._folder / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            size = f"{len(content) / 2**20:,.0f} MB"
            raise StoreError(
                f"no file of {size} can be written to {self._folder} ({error.strerror}); free "
                "space there"
            ) from error
        return f"beside: {name}".encode()

    def get(self, kept: bytes) -> bytes | None:
        """Inverse of ``put``; None where the file is gone or damaged."""
        if (named := _NAME.fullmatch(kept)) is None:
            return kept
        name = named[1].decode()
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return None
        return content if name.endswith(f"-{_hash(content)}") else None

    @property
    def any(self) -> bool:
        """Whether there may be files."""
        return self._folder.is_dir()

    def tidy(self, db: sqlite3.Connection) -> None:
        """Removes the files that no row names; inside a transaction, so that none is being made."""
        longest = len("beside: -") + 20 + 32
        rows = db.execute(
            "SELECT CAST(state AS BLOB) FROM states WHERE length(state) <= ?", (longest,)
        )
        found = (_NAME.fullmatch(row[0]) for row in rows)
        known = {named[1].decode() for named in found if named}
        for file in self._folder.iterdir():
            if file.name not in known:
                file.unlink(missing_ok=True)
        if not known:
            self._folder.rmdir()


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
