"""Plans: TOML files that name many configs, of runs and of fronts."""

import itertools
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs.queue.records import AnyConfig

__all__ = ["read_plan"]


def read_plan(path: Path) -> list[AnyConfig]:
    """The configs of a TOML plan, each once, runs first.

    A plan has tables ``[[grid]]`` with a setting, a preset and any other fields of RunConfig, and
    tables ``[[front]]`` with a problem, a preset and any other fields of ParetoConfig; either or
    both. A preset that is not given is quick. Of a grid, ``auxiliaries`` is a list of sets, and
    ``seeds`` and ``factors`` are lists themselves; of a front, ``seeds`` and ``preferences`` are
    lists themselves, and ``problem_options`` and ``method_options`` are tables. Any other field
    that is given a list is swept over.

    Raises:
        InputError: for a plan that cannot be read or holds a config that cannot be trained.
    """
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read plan {path} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"plan {path} is not TOML ({error})") from error
    for name in plan:
        if name not in _KINDS:
            raise InputError(f"plan {path}: {unknown('table', name, _KINDS)}")
    if not any(plan.values()):
        raise InputError(f"plan {path} has neither [[grid]] nor [[front]]; see plans/ for examples")
    configs: list[AnyConfig] = []
    for kind, expand in _KINDS.items():
        tables = plan.get(kind, [])
        if not isinstance(tables, list):
            raise InputError(f"plan {path} has no [[{kind}]], but {kind} = {quoted(tables)}")
        for number, table in enumerate(tables, start=1):
            try:
                if not isinstance(table, Mapping):
                    raise InputError(
                        f"{quoted(table)} is not a table; write [[{kind}]] and its fields below"
                    )
                configs += expand(table)
            except InputError as error:
                raise InputError(f"{kind} {number} of plan {path}: {error}") from error
    return list({config.id: config for config in configs}.values())


def _runs(grid: Mapping[str, Any]) -> list[AnyConfig]:
    def make(setting: str, preset: Any, changes: Mapping[str, Any]) -> AnyConfig:
        return RunConfig.from_preset(setting, preset, **changes)

    return _expand(grid, "setting", RunConfig, make, _run_values)


def _fronts(table: Mapping[str, Any]) -> list[AnyConfig]:
    def make(problem: str, preset: Any, changes: Mapping[str, Any]) -> AnyConfig:
        return ParetoConfig.from_preset(problem, preset, **changes)

    return _expand(table, "problem", ParetoConfig, make, _front_values)


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], list[AnyConfig]]] = {
    "grid": _runs,
    "front": _fronts,
}


def _expand(
    table: Mapping[str, Any],
    what: str,
    kind: type[AnyConfig],
    make: Callable[[str, Any, Mapping[str, Any]], AnyConfig],
    values: Callable[[str, object], list[Any]],
) -> list[AnyConfig]:
    """The configs of one table: the product of all fields that are given a list.

    Args:
        what: the field that is one name and not swept over: ``setting`` or ``problem``.
        make: that name, a preset and other fields to a config.
        values: a field and what it is given to what it is swept over.
    """
    known = [one.name for one in fields(kind)]
    for name in table:
        if name not in known and name != "preset":
            raise unknown("field", name, [*known, "preset"])
    given = {"preset": "quick", **table}
    named = given.pop(what, None)
    if not isinstance(named, str):
        each = "grid" if what == "setting" else "front"
        raise InputError(f"{what} {quoted(named)} is not a name; one {what} to each {each}")
    swept = [[(name, value) for value in values(name, given[name])] for name in given]
    configs = []
    for chosen in itertools.product(*swept):
        changes = dict(chosen)
        preset = changes.pop("preset")
        configs.append(make(named, preset, changes))
    return configs


def _run_values(name: str, given: object) -> list[Any]:
    """What a field of a grid is swept over."""
    if name == "auxiliaries":
        if not isinstance(given, list) or not all(isinstance(one, list) for one in given):
            raise InputError(
                f"auxiliaries {quoted(given)} are not a list of lists, such as [[], ['NAME']]"
            )
        return [tuple(one) for one in given]
    if name == "factors":
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise InputError(f"factors {quoted(given)} are not a list of names, such as []")
        return [tuple(given)]
    return _values(name, given)


def _front_values(name: str, given: object) -> list[Any]:
    """What a field of a front is swept over."""
    if name == "preferences":
        if not isinstance(given, list) or not all(isinstance(one, list) for one in given):
            raise InputError(
                f"preferences {quoted(given)} are not a list of lists, such as [[0.5, 0.5]]"
            )
        return [tuple(map(tuple, given))]
    if name in ("problem_options", "method_options"):
        if not isinstance(given, Mapping):
            raise InputError(f"{name} {quoted(given)} are not a table, such as {{ NAME = VALUE }}")
        return [tuple(given.items())]
    return _values(name, given)


def _values(name: str, given: object) -> list[Any]:
    if name == "seeds":
        if not isinstance(given, list):
            raise InputError(f"seeds {quoted(given)} are not a list, such as [0, 1, 2]")
        return [tuple(given)]
    if given == []:
        raise InputError(f"field {name!r} is an empty list; give it a value, or leave it out")
    return given if isinstance(given, list) else [given]
