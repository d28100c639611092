"""Links from before something changed its name: read as they were meant.

Seeds were a part of a run's id, and a preset's name may have been another budget's.
"""

import re
from collections.abc import Iterable, Mapping

from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import former_id
from mtl_core.views import comparisons
from mtl_core.views.smtos import budget_name

__all__ = ["current"]

_ID = re.compile(r"\b[0-9a-f]{16}\b")


def current(
    query: Mapping[str, str], answers: Answers, budgets: Iterable[RunConfig]
) -> dict[str, str]:
    """A URL's parameters with the ids of today, and with the budget that the runs it names have.

    Args:
        budgets: single-task experiments, whose names the parameter ``budget`` takes.
    """
    if not any(map(_ID.search, query.values())):
        return dict(query)
    names: dict[str, str] = {}
    there = list(budgets)
    for budget in there:
        ids = {budget.id, *(former_id(budget, seeds) for seeds in (budget.seeds, RunConfig.seeds))}
        names |= dict.fromkeys(ids, budget_name(budget))

    def today(name: str, run: str) -> str:
        if name == "budget" and run in names:
            return names[run]
        return answers.current(run)

    def mended(name: str, text: str) -> str:
        return _ID.sub(lambda match: today(name, match[0]), text)

    found = {name: mended(name, text) for name, text in query.items()}
    runs = {run for name, text in found.items() if name != "budget" for run in _ID.findall(text)}
    own = {name for run in runs if (name := _own_budget(run, answers, there))}
    return {**found, "budget": own.pop()} if "budget" in found and len(own) == 1 else found


def _own_budget(run: str, answers: Answers, budgets: Iterable[RunConfig]) -> str | None:
    """The budget of an experiment; None where it is not known, or has none of these."""
    answer = answers.find_id(run)
    if answer is None or answer.config.kind != "training":
        return None
    budget = next((one for one in budgets if comparisons.same_budget(answer.config, one)), None)
    return budget_name(budget) if budget else None
