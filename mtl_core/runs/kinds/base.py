"""What a kind of experiment is: everything that the store, the worker and the library ask of it."""

import argparse
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.training.pool import ReplicaPool

__all__ = [
    "Columns",
    "Command",
    "Derived",
    "Experiment",
    "Kind",
    "Part",
    "Piece",
    "Plan",
    "State",
    "States",
    "Table",
    "Together",
]

State = Mapping[str, NDArray[Any]]
"""What a run can go on from, to the same numbers as if it had never stopped: arrays by name, one of
them its ``step``."""

States = Mapping[int, State]
"""States by seed."""

Columns = Mapping[str, Any]
"""Rows of a table by column: a list of plain JSON values, or one value that all rows share. The key
``""`` is the number of rows."""


class Experiment(Protocol):
    """A frozen dataclass that decides the numbers of a run, all but its seed.

    Attributes:
        kind: name of its kind.
        seeds: the runs that are asked for; no part of its identity.
        id: 16 hex digits, a hash of ``to_dict``.
    """

    kind: ClassVar[str]

    @property
    def seeds(self) -> tuple[int, ...]: ...

    @property
    def id(self) -> str: ...

    def to_dict(self) -> dict[str, Any]:
        """The experiment in plain JSON values, without seeds."""
        ...

    def __hash__(self) -> int: ...

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, seeds: Any = ...) -> Self:
        """Inverse of ``to_dict``. Raises InputError for anything else."""
        ...


class Derived(NamedTuple):
    """How a column of true and false follows from another one.

    Args:
        source: the other column, of numbers.
        rule: from the source, as float64, to which rows are true.
    """

    source: str
    rule: Callable[[NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Table:
    """A tidy table that runs of a kind fill.

    Args:
        columns: in order; ``seed`` and ``step`` are among them.
        words: columns of text.
        whole: columns of whole numbers; all others are float64, where NaN is what was not measured.
        order: columns that rows are sorted by; rows that agree in them keep their order.
        descending: those of ``order`` that are sorted the other way round.
        row_bytes: what a row takes in the store, about.
        derived: columns that follow from others. They are always computed and never read, since
            rows that were written before there was such a column lack it.
    """

    columns: tuple[str, ...]
    words: tuple[str, ...] = ()
    whole: tuple[str, ...] = ("seed", "step")
    order: tuple[str, ...] = ("seed", "step")
    descending: tuple[str, ...] = ()
    row_bytes: int = 100
    derived: Mapping[str, Derived] = field(default_factory=dict)

    @property
    def given(self) -> tuple[str, ...]:
        """The columns that are read: all but the derived ones."""
        return tuple(name for name in self.columns if name not in self.derived)

    def tidied(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The same rows with this table's columns, types and order.

        Raises:
            ValueError, TypeError, KeyError: when a given column is missing or of another type.
        """
        types = dict.fromkeys(self.given, "float64")
        types |= dict.fromkeys(self.words, "str") | dict.fromkeys(self.whole, "int64")
        typed = frame[list(self.given)]
        # Most have their types already, and turning hundreds of tables' columns into them is slow.
        is_now = typed.dtypes
        if others := {name: kind for name, kind in types.items() if is_now[name] != kind}:
            typed = typed.astype(others)
        for place, name in enumerate(self.columns):
            if name in self.derived:
                typed.insert(place, name, self._derived(name, typed))
        if not self._in_order(typed):
            ascending = [name not in self.descending for name in self.order]
            typed = typed.sort_values(list(self.order), ascending=ascending, kind="stable")
        return typed.reset_index(drop=True)

    def _in_order(self, frame: "pd.DataFrame") -> bool:
        """Whether rows are in this table's order, as those of one run are in the store.

        Looking takes a tenth of the time that sorting by words does.
        """
        columns = [frame[name].tolist() for name in self.order]
        ascending = [name not in self.descending for name in self.order]
        rows = list(zip(*columns, strict=True))
        return all(_ascends(one, other, ascending) for one, other in itertools.pairwise(rows))

    def frame(self, parts: Sequence[Columns]) -> "pd.DataFrame":
        """The rows of some pieces, also of none at all."""
        import pandas as pd

        values: dict[str, list[Any]] = {name: [] for name in self.given}
        for part in parts:
            count = part[""]
            for name, column in values.items():
                given = part[name]
                column += given if isinstance(given, list) else [given] * count
        numbers = {
            # None is what was not measured.
            name: np.array(column, dtype=np.float64)
            for name, column in values.items()
            if name not in self.words and name not in self.whole
        }
        return self.tidied(pd.DataFrame(values | numbers, columns=list(self.given)))

    def contradiction(self, frame: "pd.DataFrame") -> str | None:
        """A derived column of a frame that is not what follows from its source; None if all are.

        One that the frame lacks contradicts nothing.
        """
        for name in self.derived:
            if name in frame and not (
                frame[name].dtype == bool
                and np.array_equal(frame[name].to_numpy(), self._derived(name, frame))
            ):
                return name
        return None

    def _derived(self, name: str, frame: "pd.DataFrame") -> NDArray[np.bool_]:
        source, rule = self.derived[name]
        return rule(frame[source].to_numpy(dtype=np.float64))


def _ascends(one: tuple[Any, ...], other: tuple[Any, ...], ascending: Sequence[bool]) -> bool:
    """Whether a row may stand before another one; False where a value is missing."""
    for before, after, up in zip(one, other, ascending, strict=True):
        if before != after:
            return bool(before < after if up else before > after)
    return True


def columns_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Columns:
    """Rows as columns."""
    return packed({name: [row[name] for row in rows] for name in names}, len(rows))


def packed(columns: Mapping[str, list[Any]], count: int) -> Columns:
    """Columns in which a value that all rows share is written once."""
    found: dict[str, Any] = {"": count}
    for name, values in columns.items():
        first = values[0] if values else None
        # Values of ours are never lists, so a column that is not written as a list is shared.
        shared = bool(values) and all(value == first for value in values)
        found[name] = first if shared else values
    return found


@dataclass(frozen=True)
class Piece:
    """How far a run has got, and what it measured there.

    Args:
        step: steps that it has taken.
        tables: rows of this step by the name of their table; none for a mere sign of progress.
        state: what it can go on from; None when a later piece has it.
        notes: why something that was due could not be measured, or was measured another way.
    """

    seed: int
    step: int
    tables: Mapping[str, Columns] = field(default_factory=dict)
    state: State | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """How an experiment is asked for on the command line.

    Args:
        name: the command after ``python -m mtl_core``.
        help: one line.
        add: declares its arguments, but for ``--seeds``, ``--device`` and ``--out``.
        config: the experiment that parsed arguments ask for; raises InputError.
        line: the whole line that repeats an experiment: from it and the preset to start from.
        words: one line that tells an experiment from others.
    """

    name: str
    help: str
    add: Callable[[argparse.ArgumentParser], None]
    config: Callable[[argparse.Namespace], Any]
    line: Callable[[Any, str], str]
    words: Callable[[Any], str]


@dataclass(frozen=True)
class Plan:
    """How a table of a plan names experiments: a preset of one subject, and fields swept over.

    Args:
        table: its name: ``[[table]]``.
        subject: the field that is one name, and not swept over.
        values: the fields whose lists are values themselves, or tables: from what such a field is
            given to what it is swept over; raises InputError.
    """

    table: str
    subject: str
    values: Mapping[str, Callable[[object], list[Any]]]


Part = tuple[Any, tuple[int, ...], States]
"""An experiment, some of its seeds, all at one step, and the states that they go on from."""


@dataclass(frozen=True)
class Together:
    """How runs of several experiments are carried out as one computation, as on a GPU.

    Args:
        shape: experiments of the same one can be, with those of their runs that are at one step.
        advance: as ``Kind.advance``, for parts of one shape at one step: the pieces of each.
            Raises whatever one of them does.
        run_bytes: what a run takes of a device's memory, about.
        room: what all of them may take on a device.
    """

    shape: Callable[[Any], Hashable]
    advance: Callable[[Sequence[Part], float, str], list[list[Piece]]]
    run_bytes: Callable[[Any], int]
    room: Callable[[str], int]


@dataclass(frozen=True)
class Kind:
    """A kind of experiment. Everything that differs between kinds is declared here.

    Args:
        name: as the store and manifests call it.
        noun: as people call a finished experiment of it, in the singular.
        verb: what is done for its numbers: ``trained``.
        config: the class of its experiments.
        tables: what its runs measure; the first is the main table.
        steps: of each run of an experiment.
        advance: carries runs of some seeds, all at one step, on for about so many seconds (0: to
            the first measured step) on a device, from their states; the last piece of every seed
            has its state. Raises TrainingDiverged with the pieces before it as ``checkpoints``. On
            a CPU a run's numbers do not depend on where slices end or which runs share a call. It
            is called in other processes, so it is a function of a module.
        carry_out: all pieces of an experiment's seeds, in one call, for the command line; from the
            states of those that were begun before. A seed's last piece of a slice has its state.
        device: where an experiment is carried out on a machine whose best device is given.
        cost: of a run, in examples that are differentiated; what is measured counts too.
        pace: experiments that cost alike share a word, by which speeds are known.
        fingerprint: a hash of the experiment's data on this machine; raises DataMissing.
        protocol: how each quantity of its runs is measured, in words.
        check: raises InputError for tables that cannot be those of the experiment's seeds; it is
            also told whether they hold all steps.
        folder: a path for its artifact that people can read; no two experiments share one.
        command: the command line.
        plan: how plans name its experiments.
        baseline: the experiment that others of the same budget are compared with; by default each
            is its own.
        coarser: experiments with the same numbers but for what they measured more coarsely, whose
            place an experiment may take: their ids may lead to it.
        state_bytes: what one run can go on from, about: kept while it is carried out.
        most_rows: the rows that the tables of an experiment's seeds have at most, by table; none
            for those without a bound.
        carried: what goes out with an experiment, so that another machine can name what it was on:
            the description of a user's own data, never the data; None for what every machine knows.
        own_file: whether an experiment is on a user's own file, which another machine does not have
            or has another of the same name.
        together: how several experiments are carried out at once; None where each is by itself.
    """

    name: str
    noun: str
    verb: str
    config: type[Any]
    tables: Mapping[str, Table]
    steps: Callable[[Any], int]
    advance: Callable[[Any, tuple[int, ...], States, float, str], list[Piece]]
    carry_out: "Callable[[Any, str, ReplicaPool | None, States], Iterator[Piece]]"
    device: Callable[[Any, str], str]
    cost: Callable[[Any], float]
    pace: Callable[[Any], str]
    fingerprint: Callable[[Any], str]
    protocol: Callable[[Any], Mapping[str, str]]
    check: "Callable[[Any, Mapping[str, pd.DataFrame], bool], None]"
    folder: Callable[[Any], str]
    command: Command
    plan: Plan
    baseline: Callable[[Any], Any] = lambda config: config
    coarser: Callable[[Any], Sequence[Any]] = lambda config: ()
    state_bytes: Callable[[Any], int] = lambda config: 0
    most_rows: Callable[[Any], Mapping[str, int]] = lambda config: {}
    carried: Callable[[Any], Mapping[str, Any] | None] = lambda config: None
    own_file: Callable[[Any], bool] = lambda config: False
    together: Together | None = None

    @property
    def main(self) -> str:
        """The name of the main table."""
        return next(iter(self.tables))

    def frames(self, pieces: Sequence[Piece]) -> "dict[str, pd.DataFrame]":
        """The tables that some pieces fill, in any order of pieces."""
        return {
            name: table.frame([piece.tables[name] for piece in pieces if name in piece.tables])
            for name, table in self.tables.items()
        }
