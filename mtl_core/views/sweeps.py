"""Where the learning rate and batch size of a run come from: a sweep, a preset, or neither."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.places import shipped
from mtl_core.runs.library.sweeps import SweepTable, shipped_tables
from mtl_core.views import smtos

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["chosen_by", "command", "experiments", "grid", "on", "preset_with"]


def chosen_by(config: RunConfig, tables: Sequence[SweepTable] | None = None) -> SweepTable | None:
    """The sweep of a run's setting and base optimizer whose winner it takes.

    Of several it is the one with most runs.

    Args:
        tables: by default those that ship.
    """
    found = [
        table
        for table in (shipped_tables() if tables is None else tables)
        if (table.setting, table.size["base_optimizer"]) == (config.setting, config.base_optimizer)
        and (table.choice.lr, table.choice.batch_size) == (config.lr, config.batch_size)
    ]
    return max(found, key=lambda table: len(table.runs), default=None)


def preset_with(config: RunConfig) -> str | None:
    """The preset that a run's learning rate and batch size are those of, the nearest of several."""
    presets = settings.get(config.setting).presets
    nearest = smtos.nearest_preset(config.baseline)
    for name in (nearest, *presets):
        if (presets[name].lr, presets[name].batch_size) == (config.lr, config.batch_size):
            return name
    return None


def grid(table: SweepTable) -> "pd.DataFrame":
    """The score of every pair: rows are learning rates and columns batch sizes, NaN is lost."""
    import pandas as pd

    from mtl_core.analysis.sweep import scores

    found = pd.Series(scores(table.trials)).unstack()
    return found.sort_index(axis=0, ascending=False).sort_index(axis=1)


def experiments(table: SweepTable) -> list[str]:
    """What was trained at every pair: ``fashion1 alone``, ``fashion1 with fashion2``."""
    return list(dict.fromkeys(_named(run.config) for run in table.runs))


def on(table: SweepTable) -> str:
    """What a sweep's runs were, and their size, in words."""
    configs = [run.config for run in table.runs]
    first = configs[0]
    examples = dict.fromkeys(f"{one.train_size:,}" for one in configs)
    return (
        f"{', '.join(experiments(table))}; seed {first.seeds[0]}, {first.epochs} epochs, "
        f"{' or '.join(examples)} training examples per task, width {first.width}"
    )


def command(table: SweepTable) -> str | None:
    """The line that repeats a sweep; None for a plan that does not ship."""
    there = (shipped("plans") / table.plan).is_file()
    return f"python -m mtl_core sweep plans/{table.plan}" if there else None


def _named(config: RunConfig) -> str:
    names = config.auxiliaries
    if not names:
        return f"{config.target} alone"
    return (
        f"{config.target} with {' and '.join(names) if len(names) <= 2 else f'{len(names)} others'}"
    )
