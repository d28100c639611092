"""Asking: whether runs may be put into the queue, and what is said where they may not."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mtl_core.runs.budget import Budget, Size, size
from mtl_core.runs.library.answers import Answer, Answers, Origin
from mtl_core.runs.queue.records import Record
from mtl_core.views.access import Access

__all__ = ["Doubt", "asked_size", "deletable", "doubt", "endable"]

LEAST_FREE = 2**30
"""Bytes of disk that strangers' runs leave."""


@dataclass(frozen=True)
class Doubt:
    """Why runs should not be queued as they are asked for.

    Args:
        line: for people, with a way out.
        final: whether they will not be; otherwise whoever asks may insist.
    """

    line: str
    final: bool


def asked_size(configs: Sequence[Any], answers: Answers) -> Size:
    """What runs that are asked for will take."""
    return size(configs, answers.estimate_seconds(*configs))


def doubt(configs: Sequence[Any], answers: Answers, visitor: str, access: Access) -> Doubt | None:
    """What speaks against queueing the runs of configs for a visitor; None where nothing does."""
    budget = access.bounded(Budget.of())
    if line := budget.excess(size(configs, answers.estimate_seconds(*configs, elsewhere=True))):
        return Doubt(line, final=access.shared)
    if not access.shared or answers.store is None:
        return None
    active = [r for state in ("queued", "running") for r in answers.store.runs(state=state)]
    own = [record for record in active if record.visitor == visitor]
    if shutil.disk_usage(answers.store.path.parent).free < LEAST_FREE:
        return Doubt("this server's disk is nearly full; whoever runs it can free some", final=True)
    line = _too_many(sum(len(config.seeds) for config in configs), own, active, access)
    if line is None:
        line = _too_long(configs, own, answers, budget)
    return None if line is None else Doubt(line, final=True)


def _too_many(
    count: int, own: Sequence[Record], active: Sequence[Record], access: Access
) -> str | None:
    if len(own) + count > access.most_runs:
        return (
            f"you have {len(own)} runs in the queue and ask for {count} more; {access.most_runs} "
            "is the most on this server: ask for fewer, or wait until some are done"
        )
    if len(active) + count > access.most_waiting:
        return f"{len(active)} runs of all visitors are in the queue, which is full; try later"
    return None


def _too_long(
    configs: Sequence[Any], own: Sequence[Record], answers: Answers, budget: Budget
) -> str | None:
    every = [*configs, *(record.config for record in own)]
    # One by one: one of which nothing is known does not hide the others.
    known = [answers.estimate_seconds(config, elsewhere=True) or 0.0 for config in every]
    seconds = sum(known)
    if own and seconds > budget.seconds:
        return (
            f"with what you have in the queue this would take about {seconds / 3600:,.1f} hours; "
            f"{budget.seconds / 3600:,.0f} is the most on this server: wait until some is done"
        )
    return None


def endable(answer: Answer, visitor: str, access: Access) -> list[int]:
    """The seeds of an answer's runs under way that a visitor may stop."""
    return [
        record.seed
        for record in answer.records
        if record.active and access.may_end(record.visitor, visitor)
    ]


def deletable(answer: Answer, source: Origin, visitor: str, access: Access) -> bool:
    """Whether a visitor may delete the runs of an answer that come from one source."""
    if source == "shipped" or (access.shared and source == "imported"):
        return False
    return all(access.may_end(record.starter, visitor) for record in answer.records)
