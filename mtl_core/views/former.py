"""Links from when the seeds of a run were a part of its id: read as they were meant."""

import re
from collections.abc import Iterable, Mapping

from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import former_id
from mtl_core.views.smtos import budget_name

__all__ = ["current"]

_ID = re.compile(r"\b[0-9a-f]{16}\b")


def current(
    query: Mapping[str, str], answers: Answers, budgets: Iterable[RunConfig]
) -> dict[str, str]:
    """A URL's parameters with the ids of today.

    Args:
        budgets: single-task experiments, whose names the parameter ``budget`` takes.
    """
    if not any(map(_ID.search, query.values())):
        return dict(query)
    names: dict[str, str] = {}
    for budget in budgets:
        ids = {budget.id, *(former_id(budget, seeds) for seeds in (budget.seeds, RunConfig.seeds))}
        names |= dict.fromkeys(ids, budget_name(budget))

    def today(name: str, run: str) -> str:
        if name == "budget" and run in names:
            return names[run]
        return answers.current(run)

    def mended(name: str, text: str) -> str:
        return _ID.sub(lambda match: today(name, match[0]), text)

    return {name: mended(name, text) for name, text in query.items()}
