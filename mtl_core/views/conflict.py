"""Conflict: what its page shows, as it stands in a URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mtl_core.views import codec, pool_choice
from mtl_core.views.codec import Entries, Field
from mtl_core.views.comparisons import Pool

__all__ = ["ConflictView"]

SEVERAL = 3  # auxiliary sets, from which on a target is drawn without being chosen
_OPTIMIZERS = ("umtg", "all")


@dataclass(frozen=True)
class ConflictView:
    """Targets whose auxiliary sets are points.

    Args:
        budget: a pool's name.
        targets: none takes all that have several sets.
        every_optimizer: whether runs of other optimizers than the plain sum are points too.
    """

    setting: str
    budget: str
    targets: tuple[str, ...] = ()
    every_optimizer: bool = False

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


def _fields(there: Sequence[Pool]) -> Entries:
    targets = codec.some_of("target", lambda values: pool_choice.pool(there, values).targets)
    return (
        *pool_choice.place(there, _points),
        Field("targets", targets, " ".join, default=(), usually="all"),
        Field(
            "optimizers",
            codec.either("optimizers", _OPTIMIZERS),
            _OPTIMIZERS.__getitem__,
            default=ConflictView.every_optimizer,
            at=("every_optimizer",),
        ),
    )


def _points(pool: Pool) -> int:
    return max(len(pool.auxiliary_sets(task)) for task in pool.targets)
