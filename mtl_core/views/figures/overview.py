"""Overview: help and harm at first sight, of what ships."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl_core import settings
from mtl_core.errors import unknown
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import overview as views
from mtl_core.views import panel
from mtl_core.views.figures.base import Figure, Panel
from mtl_core.views.figures.what_if import curves, hero
from mtl_core.views.panel import Panel as Shown

__all__ = ["TITLE", "figure", "first", "looked_up", "marked", "there"]

TITLE = "Does learning a second task help the first?"


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """The curves of a setting under their plain names, with their gaps marked."""
    found = there(answers)
    name = query.get("overview_setting", first(found))
    if name not in found:
        raise unknown("setting with runs that ship", name, found)
    shown = looked_up(found[name], answers)
    return Figure(
        "overview", TITLE, ((marked(shown, name=f"overview_{name}"),),), lambda: shown.table
    )


def there(answers: Answers) -> dict[str, list[Answer]]:
    """Settings to their runs that ship, the single task first; empty where none does."""
    own = _shipped(answers)
    found = {name: views.runs(name, own) for name in settings.names()}
    return {name: one[1] for name, one in found.items() if one}


def first(found: Mapping[str, object]) -> str:
    """The setting that a newcomer sees."""
    return "fashion" if "fashion" in found else next(iter(found), "fashion")


def looked_up(runs: Sequence[Answer], answers: Answers) -> Shown:
    """What is shown of a setting's runs."""
    return panel.build([runs[0].config], runs[1:], _shipped(answers))


def marked(shown: Shown, *, name: str, **more: Any) -> Panel:
    """The curves with a bracket at each gap; ``more`` as ``generalization_chart`` takes it."""
    gaps = views.brackets(shown)
    window = views.window(shown, gaps)
    return hero(
        shown,
        curves(shown),
        names=views.names(shown),
        per_seed=False,
        name=name,
        brackets=gaps,
        domain_x=window[0] if window else None,
        domain_y=window[1] if window else None,
        **more,
    )


def _shipped(answers: Answers) -> Answers:
    """What a user trained or brought is shown on other pages."""
    return Answers(None, answers.shipped)
