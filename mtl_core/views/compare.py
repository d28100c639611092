"""Questions in notebooks and scripts: what auxiliaries and optimizers do to a target.

What the app's page What if asks with clicks, with the same runs, numbers and figures.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.checks import with_seeds
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.optimizers import OptionValue
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.here import answers_here
from mtl_core.runs.queue.launch import tend
from mtl_core.views import measures
from mtl_core.views.panel import Panel, Shown
from mtl_core.views.what_if import BASELINE, kind, label

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from mtl_core.charts import Curve

__all__ = ["Compared", "compare"]

_POLL_SECONDS = 0.5
_WIDTH = 640


@dataclass(frozen=True)
class Compared:
    """A target alone and with auxiliaries, as far as it is known.

    Attributes:
        panel: the curves and how they compare, the single task first.
    """

    panel: Panel

    @property
    def trajectories(self) -> "pd.DataFrame":
        """Tidy rows of all curves: the columns of a trajectory, and ``curve``."""
        return self.panel.trajectories

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each curve against the single task: ``analysis.transfer_table``.

        Transfer ΔE and the gap at equal training loss with their 95 % intervals and verdicts, after
        Holm's correction for the curves of the table.
        """
        return self.panel.table

    @property
    def gaps(self) -> "pd.DataFrame":
        """The gap of each curve at each training loss: ``analysis.gap_over_loss``."""
        return self.panel.gap_curves

    @property
    def done(self) -> bool:
        """Whether all runs are finished, so that verdicts are final."""
        return all(one.answer.done == tuple(one.config.seeds) for one in self.panel.shown)

    def chart(self, column: str = "test_metric", *, per_seed: bool = False) -> "alt.LayerChart":
        """A measure or factor over training loss, with bands of ±2 SD over seeds.

        Args:
            column: ``test_metric``, or a factor such as ``sharpness``.
            per_seed: whether each seed has a faint line of its own.
        """
        from mtl_core.charts import over_loss_chart
        from mtl_core.views.phrases import title

        config = self.panel.baseline.config
        measure = measures.measure(config.setting, config.target)
        of_metric = column == "test_metric"
        chart: alt.LayerChart = over_loss_chart(
            self.panel.settled,
            self._curves,
            column=column,
            task=config.target,
            title=measure.title if of_metric else title(column),
            log_y=not of_metric,
            value_format=measure.format if of_metric else ".3~g",
            per_seed=per_seed,
            height=360,
        ).properties(width=_WIDTH)
        return chart

    def gap_chart(self) -> "alt.LayerChart":
        """The gap at each training loss with its 95 % interval."""
        from mtl_core.charts import gap_strip

        config = self.panel.baseline.config
        share = measures.measure(config.setting, config.target).share
        chart: alt.LayerChart = gap_strip(
            self.gaps,
            self._curves,
            title="gap (pt)" if share else "gap",
            share=share,
            height=160,
        ).properties(width=_WIDTH)
        return chart

    @cached_property
    def _curves(self) -> "list[Curve]":
        from mtl_core.charts import CurveKey, style_curves

        return style_curves([CurveKey(one.label, kind(one.config)) for one in self.panel.shown])


def compare(
    setting: str,
    target: str | None = None,
    auxiliaries: Sequence[str | Sequence[str]] | None = None,
    *,
    optimizers: Sequence[str] = (BASELINE,),
    preset: str = "quick",
    seeds: Sequence[int] = (0, 1, 2),
    train: bool = True,
    tell: Callable[[str], None] | None = None,
    options: Mapping[str, Mapping[str, OptionValue]] | None = None,
    **fields: Any,
) -> Compared:
    """What auxiliary tasks, and ways to combine their gradients, do to a target.

    Runs that ship, that were imported or that are in the store are not carried out again; the
    others go through the store's queue, as the app's do, and stay there.

    Args:
        setting: name of a setting.
        target: the task that is to generalize; default: the setting's usual one.
        auxiliaries: sets of auxiliary tasks, each a name or several; default: each other task.
            None at all is the target alone.
        optimizers: multi-task optimizers that each set is trained with.
        preset: the budget of each run.
        seeds: of each curve.
        train: whether runs are carried out; otherwise the comparison is of what is known.
        tell: is called with a line whenever training has come further.
        options: optimizer to its own options.
        fields: of ``RunConfig`` that differ from the preset's, such as ``lr`` or ``epochs``.

    Raises:
        InputError: for what cannot be trained, and where a run failed.
        StoreError: when the queue cannot be used.

    >>> found = compare("synthetic", "target", ["cos100", "cos0"], train=False)
    >>> found.table[["curve", "verdict"]].values.tolist()
    [['+ cos100', 'better'], ['+ cos0', 'worse']]
    """
    found = settings.get(setting)
    goal = found.default_target if target is None else found.task(target).name
    others = [task.name for task in found.tasks if task.name != goal]
    sets = [
        (names,) if isinstance(names, str) else tuple(names)
        for names in (others if auxiliaries is None else auxiliaries)
    ]
    if not all(sets):
        raise InputError("an empty set of auxiliaries is the single task, which is there already")
    shared: dict[str, Any] = {"target": goal, "seeds": tuple(seeds), **fields}
    configs = [
        RunConfig.from_preset(
            setting,
            preset,
            auxiliaries=names,
            optimizer=optimizer,
            options=tuple((options or {}).get(optimizer, {}).items()),
            **shared,
        )
        for names in sets
        for optimizer in optimizers
    ]
    alone = RunConfig.from_preset(setting, preset, **shared)
    asked = list(dict.fromkeys([alone.baseline, *configs]))
    answers = answers_here()
    if train:
        _carry_out(asked, answers, tell)
    return Compared(_panel(asked, answers))


def _panel(configs: Sequence[RunConfig], answers: Answers) -> Panel:
    import pandas as pd

    usual = configs[min(1, len(configs) - 1)]
    shown = tuple(Shown(label(one, usual), answers.find(one), pinned=False) for one in configs)
    tables = [answers.main(one.answer).assign(curve=one.label) for one in shown]
    rows = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return Panel(shown, (), rows)


def _carry_out(
    configs: Sequence[RunConfig], answers: Answers, tell: Callable[[str], None] | None
) -> None:
    """Waits until all runs are done; raises InputError as soon as one of them failed."""
    store = answers.store
    assert store is not None
    missing = [answers.find(config) for config in configs]
    new = [with_seeds(one.config, one.missing) for one in missing if one.missing]
    if new:
        store.submit(*new)
    last = ""
    while True:
        standing = [answers.find(config) for config in configs]
        for one in standing:
            if one.errors:
                raise InputError(f"{one.config.auxiliaries_label}: {one.errors[0]}")
        share = sum(one.share for one in standing) / len(standing)
        left = sum(len(one.config.seeds) - len(one.done) for one in standing)
        line = f"{share:.0%}, {left} runs left" if left else "done"
        if tell is not None and line != last:
            tell(line)
        last = line
        if not left:
            return
        if problem := tend(store):
            raise StoreError(problem)
        time.sleep(_POLL_SECONDS)
