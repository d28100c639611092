"""Conflict: what its page shows, as it stands in a URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mtl_core.analysis import FEWEST_EPOCHS, FEWEST_SETS, READINGS, Aggregate, Reading
from mtl_core.errors import InputError, unknown
from mtl_core.runs.library.answers import Answer
from mtl_core.views import codec, pool_choice
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Pool, joint

__all__ = ["ConflictView", "aggregates", "sizes"]

SEVERAL = 3  # auxiliary sets, from which on a target is drawn without being chosen
_OPTIMIZERS = ("umtg", "all")


@dataclass(frozen=True)
class ConflictView:
    """Targets whose auxiliary sets are points.

    Args:
        budget: a pool's name.
        targets: none takes all that have several sets.
        every_optimizer: whether runs of other optimizers than the plain sum are points too.
        reading: when gradient similarity is read; throughout training, as in M24 §5.1, or early.
        aggregate: how a run becomes one value: E and the bins of App. C.4, or footnote 7.
        size: how many tasks the sets that decide have, with the target; None takes all, given
            their number.
    """

    setting: str
    budget: str
    targets: tuple[str, ...] = ()
    every_optimizer: bool = False
    reading: Reading = "throughout"
    aggregate: Aggregate = "bins"
    size: int | None = None

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Pool]
    ) -> "tuple[Self | None, list[str]]":
        """What a URL asks for, and what in it was not understood; None without any runs."""
        there = [pool for pool in found if pool.targets]
        return pool_choice.read(cls, query, there, _fields)

    def to_query(self) -> dict[str, str]:
        return codec.write(self, _fields(()))

    def shown(self, pool: Pool) -> tuple[str, ...]:
        """The targets that are drawn: without a choice, those with most auxiliary sets."""
        if self.targets:
            return self.targets
        counts = {task: len(pool.auxiliary_sets(task)) for task in pool.targets}
        several = [task for task, count in counts.items() if count >= SEVERAL]
        return tuple(several or pool.targets)

    def deciding(self, runs: Sequence[Answer]) -> int:
        """How many different sets of the chosen size these runs have, of any optimizer."""
        sets = {joint(run.config) for run in runs}
        return sum(self.size in (None, len(names)) for names in sets)


def sizes(pool: Pool) -> dict[int, int]:
    """The numbers of tasks that sets have, to how many sets of one target have it at most."""
    found: dict[int, int] = {}
    for task in pool.targets:
        counts: dict[int, int] = {}
        for run in pool.auxiliary_sets(task):
            size = len(run.config.tasks)
            counts[size] = counts.get(size, 0) + 1
        found |= {size: max(count, found.get(size, 0)) for size, count in counts.items()}
    return dict(sorted(found.items()))


def aggregates(pool: Pool) -> tuple[Aggregate, ...]:
    """Those that runs of this budget are long enough for."""
    return ("bins", "footnote") if pool.budget.epochs >= FEWEST_EPOCHS else ("bins",)


def _fields(there: Sequence[Pool]) -> Entries:
    def pool(values: Values) -> Pool:
        return pool_choice.pool(there, values)

    def aggregate(text: str, values: Values) -> str:
        word = codec.one_of("aggregate", ("bins", "footnote"))(text, values)
        if word not in aggregates(pool(values)):
            raise InputError(
                f"footnote 7's counts take {FEWEST_EPOCHS} epochs, and these runs have "
                f"{pool(values).budget.epochs}"
            )
        return str(word)

    def size(text: str, values: Values) -> int:
        known = [str(each) for each in sizes(pool(values))]
        if text not in known:
            raise unknown("size", text, known)
        return int(text)

    return (
        *pool_choice.place(there, _points),
        Field(
            "targets",
            codec.some_of("target", lambda values: pool(values).targets),
            " ".join,
            default=(),
            usually="all",
        ),
        Field(
            "optimizers",
            codec.either("optimizers", _OPTIMIZERS),
            _OPTIMIZERS.__getitem__,
            default=ConflictView.every_optimizer,
            at=("every_optimizer",),
        ),
        Field("reading", codec.one_of("reading", READINGS), default=ConflictView.reading),
        Field("aggregate", aggregate, default=ConflictView.aggregate),
        Field("size", codec.or_all(size), default=ConflictView.size),
    )


def _points(pool: Pool) -> tuple[int, int]:
    """How many sets of one size there are where these can decide, then how many there are."""
    alike = max(sizes(pool).values())
    most = max(len(pool.auxiliary_sets(task)) for task in pool.targets)
    return (alike if alike >= FEWEST_SETS else 0), most
