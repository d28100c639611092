"""A listing: all runs of a store in memory, of which only what has changed is read again.

Pages list thousands of runs again and again. The store counts every change of a run, so whoever
has seen all up to a number asks for those above it.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mtl_core.errors import InputError
from mtl_core.runs.queue.records import Key, Record, record_of

__all__ = ["Listing", "Mirror", "Runs"]

V = TypeVar("V")


@dataclass(frozen=True)
class Runs:
    """An experiment's runs by seed, as they were between two changes of any of them.

    Their records do not say which place they have in the queue.
    """

    records: Mapping[int, Record]
    _derived: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def config(self) -> Any:
        """The experiment, with one of its seeds."""
        return next(iter(self.records.values())).config

    @property
    def newest(self) -> int:
        """The order of the question that asked for any of them last."""
        return max(record.order for record in self.records.values())

    def derive(self, name: str, make: Callable[[], V]) -> V:
        """What follows from these runs, made once; it goes with them when one has changed."""
        if name not in self._derived:
            self._derived[name] = make()
        found: V = self._derived[name]
        return found


@dataclass(frozen=True)
class Listing:
    """What a store had when somebody looked.

    Args:
        version: of all runs; two listings with one version are the same.
        done_version: of all finished runs.
        experiments: runs by their experiment's id, those that were asked for last first.
        unreadable: experiments that this version cannot carry out or show, by id, and why.
    """

    version: tuple[object, ...]
    done_version: tuple[object, ...]
    experiments: Mapping[str, Runs]
    unreadable: Mapping[str, str]


class Mirror:
    """Keeps a listing up to date, for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin(())

    def _begin(self, file: tuple[object, ...]) -> None:
        self._file = file
        self._seen = self._removed = self._done = -1
        self._keys: dict[int, Key] = {}
        self._records: dict[str, dict[int, Record]] = {}
        self._unreadable: dict[str, tuple[int, str]] = {}
        self._listing = Listing((), (), {}, {})

    def look(self, db: sqlite3.Connection, file: tuple[object, ...]) -> Listing:
        """What the store has now.

        Args:
            db: outside any transaction.
            file: another one is read as a whole.
        """
        with self._lock:
            db.execute("BEGIN")  # so that all reads see one state
            try:
                store, last, removed = db.execute("SELECT * FROM changes").fetchone()
                if self._file != (*file, store) or last < self._seen:
                    self._begin((*file, store))
                if last != self._seen:
                    self._update(db, last, removed)
            except BaseException:
                self._begin(())  # what is half known is read as a whole the next time
                raise
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")
            return self._listing

    def _update(self, db: sqlite3.Connection, last: int, removed: int) -> None:
        touched: set[str] = set()
        done = False
        if removed != self._removed and self._keys:
            there = {row[0] for row in db.execute("SELECT number FROM runs")}
            for number in [number for number in self._keys if number not in there]:
                done |= self._drop(number, touched)
        rows = db.execute(
            "SELECT runs.*, experiments.kind, experiments.config FROM runs "
            "JOIN experiments ON experiments.id = runs.experiment WHERE changed > ? "
            "ORDER BY runs.number",
            (self._seen,),
        ).fetchall()
        for row in rows:  # all of them first: a run may have another one's number of before
            done |= self._drop(row["number"], touched)
        for row in rows:
            key = Key(row["experiment"], row["seed"])
            self._keys[row["number"]] = key
            touched.add(key.experiment)
            try:
                record = record_of(row)
            except InputError as error:
                self._unreadable.setdefault(key.experiment, (row["number"], str(error)))
                continue
            self._records.setdefault(key.experiment, {})[key.seed] = record
            done |= record.state == "done"
        self._seen, self._removed = last, removed
        self._done = last if done else self._done
        self._list(touched)

    def _drop(self, number: int, touched: set[str]) -> bool:
        """Forget a run as it was before; whether it was finished."""
        key = self._keys.pop(number, None)
        if key is None:
            return False
        touched.add(key.experiment)
        if self._unreadable.get(key.experiment, (None, ""))[0] == number:
            del self._unreadable[key.experiment]
        records = self._records.get(key.experiment, {})
        before = records.pop(key.seed, None)
        if not records:
            self._records.pop(key.experiment, None)
        return before is not None and before.state == "done"

    def _list(self, touched: set[str]) -> None:
        found = dict(self._listing.experiments)
        for run in touched:
            found.pop(run, None)
            if run in self._records:
                found[run] = Runs(dict(self._records[run]))
        order = sorted(found, key=lambda run: found[run].newest, reverse=True)
        broken = sorted(self._unreadable.items(), key=lambda item: item[1][0])
        self._listing = Listing(
            (*self._file, self._seen),
            (*self._file, self._done),
            {run: found[run] for run in order},
            {run: reason for run, (_, reason) in broken},
        )
