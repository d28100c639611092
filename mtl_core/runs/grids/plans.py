"""Plans: TOML files that name many experiments of any kind, and their seeds."""

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtl_core import checks
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs.kinds import KINDS, Experiment, Kind

__all__ = ["SWEEP", "each_once", "expanded", "parsed", "read_plan"]

SWEEP = "sweep"
"""The tables of plans that choose learning rate and batch size (``sweep_plans``)."""


def read_plan(path: Path) -> list[Experiment]:
    """The experiments of a TOML plan, each once with all seeds that it is named with.

    A plan has tables ``[[grid]]`` of training, with a setting, and tables ``[[front]]``, with a
    problem; either or both, and in them a preset, which is quick when it is not given, and any
    other fields of an experiment of their kind. A field that is given a list is swept over, unless
    it is one of those that are lists or tables themselves: ``seeds`` of both; of a grid
    ``factors``, and ``auxiliaries``, which is a list of sets that are swept over; of a front
    ``preferences``, ``problem_options`` and ``method_options``.

    Raises:
        InputError: for a plan that cannot be read or names an experiment that cannot be.
    """
    plan = parsed(path)
    named = {kind.plan.table: kind for kind in KINDS.values()}
    if SWEEP in plan:
        raise InputError(
            f"plan {path} chooses learning rates and batch sizes; carry it out with "
            f"`python -m mtl_core sweep {path}`"
        )
    for name in plan:
        if name not in named:
            raise InputError(f"plan {path}: {unknown('table', name, named)}")
    if not any(plan.values()):
        names = " nor ".join(f"[[{name}]]" for name in named)
        raise InputError(f"plan {path} has neither {names}; see plans/ for examples")
    configs: list[Experiment] = []
    for name, kind in named.items():
        tables = plan.get(name, [])
        if not isinstance(tables, list):
            raise InputError(f"plan {path} has no [[{name}]], but {name} = {quoted(tables)}")
        for number, table in enumerate(tables, start=1):
            try:
                configs += expanded(kind, table)
            except InputError as error:
                raise InputError(f"{name} {number} of plan {path}: {error}") from error
    try:
        return each_once(configs)
    except InputError as error:
        raise InputError(f"plan {path}: {error}") from error


def parsed(path: Path) -> dict[str, Any]:
    """What a TOML file says; raises InputError for one that cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read plan {path} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"plan {path} is not TOML ({error})") from error


def expanded(kind: Kind, table: object) -> list[Experiment]:
    """The experiments of one table: the product of all fields that are swept over.

    Raises:
        InputError: for one that names none.
    """
    form = kind.plan
    if not isinstance(table, Mapping):
        raise InputError(
            f"{quoted(table)} is not a table; write [[{form.table}]] and its fields below"
        )
    known = [*(one.name for one in fields(kind.config)), "preset"]
    for name in table:
        if name not in known:
            raise unknown("field", name, known)
    given = {"preset": "quick", **table}
    subject = given.pop(form.subject, None)
    if not isinstance(subject, str):
        raise InputError(
            f"{form.subject} {quoted(subject)} is not a name; one {form.subject} to each "
            f"{form.table}"
        )
    swept = [[(name, value) for value in _values(kind, name, given[name])] for name in given]
    configs = []
    for chosen in itertools.product(*swept):
        changes = dict(chosen)
        preset = changes.pop("preset")
        configs.append(kind.config.from_preset(subject, preset, **changes))
    return configs


def _values(kind: Kind, name: str, given: object) -> list[Any]:
    """What a field is swept over."""
    if name in kind.plan.values:
        return kind.plan.values[name](given)
    if name == "seeds":
        if not isinstance(given, list):
            raise InputError(f"seeds {quoted(given)} are not a list, such as [0, 1, 2]")
        return [tuple(given)]
    if given == []:
        raise InputError(f"field {name!r} is an empty list; give it a value, or leave it out")
    return given if isinstance(given, list) else [given]


def each_once(configs: list[Experiment]) -> list[Experiment]:
    """Experiments with all their seeds, in the order in which they are named first."""
    seeds: dict[str, set[int]] = {}
    for config in configs:
        seeds.setdefault(config.id, set()).update(config.seeds)
    first = {config.id: config for config in reversed(configs)}
    return [checks.with_seeds(first[run], seeds[run]) for run in seeds]
