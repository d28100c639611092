"""Plans of sweeps: TOML files that name what a learning rate and batch size are chosen among."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs.grids.plan_edit import put
from mtl_core.runs.grids.plans import SWEEP, each_once, expanded, parsed, read_plan
from mtl_core.runs.kinds import KINDS

__all__ = ["SEED", "Sweep", "read_sweeps"]

SEED = 100
"""No run that ships has it: what is chosen by a seed must not be judged on it again."""

_CHOSEN = ("lr", "batch_size")
_AVERAGED = ("target", "auxiliaries")
_DEFAULTS: Mapping[str, Any] = {"seeds": [SEED], "factors": [], "early_checkpoints": 0}


@dataclass(frozen=True)
class Sweep:
    """One table of a plan: a setting's runs, of which the best by validation is found.

    Args:
        experiments: each with the sweep's one seed.
        into: the plans of the setting's real runs.
    """

    setting: str
    experiments: tuple[RunConfig, ...]
    into: tuple[Path, ...]

    @property
    def seed(self) -> int:
        """The seed of all its runs."""
        return self.experiments[0].seeds[0]


def read_sweeps(path: Path) -> list[Sweep]:
    """The sweeps of a TOML plan, one to each setting.

    A plan has tables ``[[sweep]]``: the fields of a ``[[grid]]`` (``plans.read_plan``) at one size,
    with lists ``lr`` and ``batch_size`` of at least two pairs, ``seeds`` a list of one, and
    ``into``: the name of a plan beside it, or a list of names, whose grids of the setting get what
    wins. ``target`` and ``auxiliaries`` may be several, whose scores are averaged. Where they are
    not given, the seed is 100, and no factors and no checkpoints inside the first epoch are asked
    for.

    Raises:
        InputError: for a plan that cannot be carried out to its end.
    """
    plan = parsed(path)
    for name in plan:
        if name != SWEEP:
            raise InputError(f"plan {path}: {unknown('table', name, [SWEEP])}")
    tables = plan.get(SWEEP)
    if not tables or not isinstance(tables, list):
        raise InputError(f"plan {path} has no [[{SWEEP}]]; see plans/ for examples")
    sweeps: list[Sweep] = []
    for number, table in enumerate(tables, start=1):
        try:
            sweeps.append(_sweep(table, path.parent))
            if sweeps[-1].setting in (one.setting for one in sweeps[:-1]):
                raise InputError(f"a second one of {sweeps[-1].setting}; put it into another plan")
        except InputError as error:
            raise InputError(f"{SWEEP} {number} of plan {path}: {error}") from error
    return sweeps


def _sweep(table: object, folder: Path) -> Sweep:
    if not isinstance(table, Mapping):
        raise InputError(f"{quoted(table)} is not a table; write [[{SWEEP}]] and its fields below")
    known = [*(field.name for field in fields(RunConfig)), "preset", "into"]
    for name, value in table.items():
        if name not in known:
            raise unknown("field", name, known)
        if isinstance(value, list) and name not in (*_CHOSEN, *_AVERAGED, *_DEFAULTS, "into"):
            raise InputError(
                f"{name} {quoted(value)} is a list; a sweep chooses learning rate and batch size, "
                "and all else is one value"
            )
    for name in _CHOSEN:
        if not isinstance(table.get(name), list):
            raise InputError(
                f"{name} {quoted(table.get(name))} is not a list to choose among, such as "
                f"{'[1e-3, 5e-4]' if name == 'lr' else '[64, 128]'}"
            )
    given = {name: value for name, value in {**_DEFAULTS, **table}.items() if name != "into"}
    experiments: list[Any] = each_once(expanded(KINDS["training"], given))
    _check(experiments)
    setting = experiments[0].setting
    sweep = Sweep(setting, tuple(experiments), tuple(_plans(table.get("into"), folder)))
    for path in sweep.into:
        _check_into(path, sweep)
    return sweep


def _check(experiments: Sequence[RunConfig]) -> None:
    """Raises InputError unless these runs can be compared."""
    first = experiments[0]
    if len(first.seeds) != 1:
        raise InputError(f"seeds {quoted(list(first.seeds))} are not one; give it one, as [{SEED}]")
    if len({(one.lr, one.batch_size) for one in experiments}) < 2:
        raise InputError("one learning rate and one batch size leave nothing to choose among")
    setting = settings.get(first.setting)
    ways = {setting.task(one.target).direction: one.target for one in experiments}
    if len(ways) > 1:
        raise InputError(
            f"higher is better for {ways['higher']} and lower for {ways['lower']}, so that their "
            "mean says nothing; choose targets of one direction"
        )


def _plans(given: object, folder: Path) -> list[Path]:
    names = given if isinstance(given, list) else [given]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(
                f"into {quoted(given)} is not the name of a plan beside this one, nor a list of "
                "names; the winner is written into it"
            )
    if not names:
        raise InputError("into is an empty list; name the plan that the winner is written into")
    return [folder / name for name in dict.fromkeys(names)]


def _check_into(path: Path, sweep: Sweep) -> None:
    """Raises InputError, before hours of training, for a plan that cannot take a winner."""
    found: list[Any] = read_plan(path)
    own = [one for one in found if one.kind == "training" and one.setting == sweep.setting]
    if not own:
        raise InputError(f"into {path.name}: it has no grid of {sweep.setting}")
    if any(sweep.seed in one.seeds for one in own):
        raise InputError(
            f"into {path.name}: its runs of {sweep.setting} have seed {sweep.seed} too, on which "
            f"they must not be chosen; give the sweep another, such as [{SEED}]"
        )
    first = sweep.experiments[0]
    if not put(path, sweep.setting, first.lr, first.batch_size, save=False).grids:
        raise InputError(
            f"into {path.name}: every grid of {sweep.setting} in it gives lists of its own"
        )
