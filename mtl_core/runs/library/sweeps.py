"""Sweeps' tables: what was tried for a setting's learning rate and batch size, and what won.

A table is one JSON file, ``sweeps/PLAN/SETTING.json`` in ``cache/``:

    version          of this format
    plan, setting    the file that named its runs, without its folder; what they are on
    rule             by which the winner is chosen
    direction        which way the validation metric is better
    winner           learning rate, batch size, score, and at which edges of the grid they lie
    size             the fields that all of its runs share, the seed among them
    runs             id, learning rate, batch size, other fields that differ, and what came of it:
                     the best validation metric and its epoch, or that the run diverged
    made             where the runs come from: groups of ``runs`` with ``created``, ``device``,
                     ``versions``, ``data_fingerprint`` and ``duration_seconds``

The runs themselves do not ship. A table is believed only when its ids are those of its fields and
its winner is the rule's.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.direction import Direction
from mtl_core.errors import InputError, quoted
from mtl_core.runs.library import artifacts, folders

if TYPE_CHECKING:
    from mtl_core.analysis.sweep import Choice, Trial

__all__ = [
    "SweepTable",
    "SweptRun",
    "damaged",
    "grouped",
    "read",
    "scan",
    "shipped_tables",
    "tables_dir",
    "write",
]

_VERSION = 1
_SPELT = ("lr", "batch_size", "target", "auxiliaries")
"""Fields that stand with each run, whether they differ or not."""


@dataclass(frozen=True)
class SweptRun:
    """A run of a sweep and what came of it.

    Args:
        config: the experiment, with one seed.
        best: its best validation metric at the end of a whole epoch; None for a run without one.
        epoch: where that was.
        diverged: whether its loss left the finite numbers.
    """

    config: RunConfig
    best: float | None = None
    epoch: float | None = None
    diverged: bool = False


@dataclass(frozen=True)
class SweepTable:
    """A finished sweep of one setting.

    Args:
        plan: the name of the file that names its runs.
        runs: at least one pair of learning rate and batch size is not lost.
        made: groups of runs with their provenance.

    Raises:
        InputError: for runs that no sweep can have, or of which all are lost.
    """

    plan: str
    runs: tuple[SweptRun, ...]
    made: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if len({(run.config.setting, run.config.seeds, self._way(run)) for run in self.runs}) != 1:
            raise InputError("its runs do not share a setting, a seed and a direction")
        _ = self.choice

    @property
    def setting(self) -> str:
        """What it is on."""
        return self.runs[0].config.setting

    @property
    def direction(self) -> Direction:
        """Which way the validation metric of all its targets is better."""
        return self._way(self.runs[0])

    @cached_property
    def trials(self) -> "tuple[Trial, ...]":
        """Its runs as ``analysis.sweep`` takes them."""
        from mtl_core.analysis.sweep import Trial

        return tuple(Trial(run.config.lr, run.config.batch_size, run.best) for run in self.runs)

    @cached_property
    def choice(self) -> "Choice":
        """What won."""
        from mtl_core.analysis.sweep import choose

        found = choose(self.trials, self.direction)
        if found is None:
            raise InputError(
                f"every pair of the sweep of {self.setting} has a run that diverged; choose among "
                "smaller learning rates"
            )
        return found

    @property
    def size(self) -> dict[str, Any]:
        """The fields that all its runs share, as in a config's text."""
        first, *others = (run.config.to_dict() for run in self.runs)
        return {
            name: value
            for name, value in first.items()
            if name not in _SPELT and all(other.get(name) == value for other in others)
        }

    def to_dict(self) -> dict[str, Any]:
        """The table in plain JSON values."""
        from mtl_core.analysis.sweep import RULE

        size, choice = self.size, self.choice
        return {
            "version": _VERSION,
            "plan": self.plan,
            "setting": self.setting,
            "rule": RULE,
            "direction": self.direction,
            "winner": {
                "lr": choice.lr,
                "batch_size": choice.batch_size,
                "score": choice.score,
                "edges": list(choice.edges),
            },
            "size": {**size, "seed": self.runs[0].config.seeds[0]},
            "runs": [
                {
                    "run": run.config.id,
                    **{k: v for k, v in run.config.to_dict().items() if k not in size},
                    "best_validation": run.best,
                    "epoch": run.epoch,
                    "diverged": run.diverged,
                }
                for run in self.runs
            ],
            "made": list(self.made),
        }

    @staticmethod
    def _way(run: SweptRun) -> Direction:
        return settings.get(run.config.setting).task(run.config.target).direction


def grouped(made: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The provenance of some runs, one each, as groups that agree in all but clocks.

    A group was created when the last of its runs was, and took as long as all of them.
    """
    groups: dict[str, dict[str, Any]] = {}
    for one in made:
        origin = {name: one[name] for name in ("device", "versions", "data_fingerprint")}
        fresh = {"runs": 0, **origin, "created": "", "duration_seconds": 0.0}
        group = groups.setdefault(json.dumps(origin, sort_keys=True), fresh)
        group["runs"] += 1
        group["created"] = max(group["created"], one["created"])
        group["duration_seconds"] = round(group["duration_seconds"] + one["duration_seconds"], 3)
    return tuple(groups.values())


def tables_dir() -> Path:
    """The tables that ship with the app."""
    return artifacts.cache_dir() / "sweeps"


def shipped_tables() -> tuple[SweepTable, ...]:
    """The tables that ship and can be read."""
    return _scanned(tables_dir())[0]


def damaged(setting: str) -> tuple[str, ...]:
    """What is wrong with tables of a setting that ship and cannot be read, a line each."""
    return tuple(why for path, why in _scanned(tables_dir())[1].items() if path.stem == setting)


def scan(folder: Path) -> tuple[tuple[SweepTable, ...], dict[Path, str]]:
    """All tables below a folder, read anew, and why others are not believed."""
    found, problems = [], {}
    for path in sorted(folder.glob("*/*.json")):
        try:
            found.append(read(path))
        except InputError as error:
            problems[path] = str(error)
    return tuple(found), problems


_scanned = lru_cache(maxsize=1)(scan)


def write(folder: Path, table: SweepTable) -> Path:
    """Write a table below ``folder``, whole or not at all.

    Raises:
        InputError: when that is impossible.
    """
    path = folder / Path(table.plan).stem / f"{table.setting}.json"
    folders.write_text(path, table.to_dict(), indent=2)
    _scanned.cache_clear()
    return path


def read(path: Path) -> SweepTable:
    """A table, checked.

    Raises:
        InputError: naming what is wrong with it.
    """
    with folders.checking_text(f"sweep table {path.parent.name}/{path.name}"):
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["version"] != _VERSION:
            raise InputError(f"version {quoted(said['version'])} is not {_VERSION}")
        size = dict(said["size"])
        seed = size.pop("seed")
        plan = str(said["plan"])
        if Path(plan).name != plan:
            raise InputError(f"plan {quoted(plan)} is not the name of a file")
        table = SweepTable(
            plan,
            tuple(_run(size, dict(row), seed) for row in said["runs"]),
            tuple(dict(group) for group in said["made"]),
        )
        if {**table.to_dict(), "rule": said["rule"]} != said:  # in the words of its day
            raise InputError("its fields do not follow from its runs")
    return table


def _run(size: Mapping[str, Any], row: dict[str, Any], seed: object) -> SweptRun:
    run, best, epoch = row.pop("run"), row.pop("best_validation"), row.pop("epoch")
    diverged = row.pop("diverged")
    config = RunConfig.from_dict({**size, **row}, seeds=[seed])
    if config.id != run:
        raise InputError(f"run {quoted(run)} is not that of its fields, {config.id}")
    numbers = (best, epoch) != (None, None)
    if numbers and not (_finite(best) and _finite(epoch)):
        raise InputError(f"run {run} has the best validation {quoted(best)} at {quoted(epoch)}")
    if not isinstance(diverged, bool) or (diverged and numbers):
        raise InputError(f"run {run} diverged: {quoted(diverged)}, with {quoted(best)}")
    return SweptRun(config, best, epoch, diverged)


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
