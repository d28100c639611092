"""The commands ``list``, ``doctor``, ``compare``, ``import`` and ``export``: runs we know of."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import optimizers, settings
from mtl_core.errors import InputError, quoted
from mtl_core.pareto import problems

if TYPE_CHECKING:
    from mtl_core.runs import Answers, Record
    from mtl_core.runs.library.answers import Answer
    from mtl_core.runs.library.exchange import Received

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the commands."""
    listing = commands.add_parser("list", help="what can be used here")
    listing.set_defaults(command=_list)
    listing.add_argument("what", choices=list(_LISTS))

    doctor = commands.add_parser("doctor", help="device, data, store")
    doctor.set_defaults(command=_doctor)

    compare = commands.add_parser("compare", help="transfer of runs against the single task")
    compare.set_defaults(command=_compare)
    compare.add_argument("runs", nargs="+", metavar="ID", help="as `list runs` and pages name them")
    compare.add_argument("--task", help="default: the target of the first run")
    compare.add_argument("--against", metavar="ID", help="default: the single task at this budget")
    compare.add_argument("--out", type=Path, metavar="FILE.csv", help="the table with all columns")

    take_in = commands.add_parser("import", help="take in runs from another machine")
    take_in.set_defaults(command=_import)
    take_in.add_argument("path", type=Path, metavar="FILE.zip|DIR")

    export = commands.add_parser("export", help="write finished runs into a zip file")
    export.set_defaults(command=_export)
    export.add_argument("runs", nargs="+", metavar="ID", help="as `list runs` names them")
    export.add_argument("--out", type=Path, required=True, metavar="FILE.zip")


# List and doctor.


def _list(options: argparse.Namespace) -> int:
    _LISTS[options.what]()
    return 0


def _list_settings() -> None:
    for setting in map(settings.get, settings.names()):
        tasks = ", ".join(task.name for task in setting.tasks)
        print(f"{setting.name:12} data {setting.data_state().state:13} {tasks}")


def _list_optimizers() -> None:
    for name in optimizers.names():
        print(name)


def _list_problems() -> None:
    for problem in map(problems.get, problems.names()):
        objectives = ", ".join(one.name for one in problem.objectives) or "(its targets)"
        print(f"{problem.name:18} data {problem.data_state().state:13} {objectives}")


def _list_runs() -> None:
    from mtl_core.runs import Store

    store = Store()
    experiments: dict[str, list[Record]] = {}
    for record in store.runs():
        experiments.setdefault(record.config.id, []).append(record)
    for run, records in experiments.items():
        print(f"{run}  {_in_words(sorted(records, key=lambda record: record.seed))}")
    for run, reason in store.unreadable().items():
        print(f"{run}  skipped: {reason}")


_LISTS: dict[str, Callable[[], None]] = {
    "settings": _list_settings,
    "optimizers": _list_optimizers,
    "problems": _list_problems,
    "runs": _list_runs,
}

_FIRST = ("running", "queued", "failed", "cancelled", "done")
"""States, most telling first: an experiment is in the first that any of its runs is in."""


def _in_words(records: "Sequence[Record]") -> str:
    """The runs of one experiment: their state, how much is done, what they are, and their seeds."""
    by_state = {
        state: _spaced(record.seed for record in records if record.state == state)
        for state in _FIRST
        if any(record.state == state for record in records)
    }
    state, *others = by_state
    share = sum(record.share for record in records) / len(records)
    words = records[0].kind.command.words(records[0].config)
    if others:
        seeds = ", ".join(f"{some} {state}" for state, some in by_state.items())
    else:
        seeds = by_state[state]
    return f"{state:9} {share:4.0%}  {words}  seeds {seeds}"


def _spaced(seeds: Iterable[int]) -> str:
    return " ".join(map(str, seeds))


def _doctor(options: argparse.Namespace) -> int:
    from mtl_core.training import devices

    device = devices.choose()
    processor = devices.title("cpu")
    print(f"device     {processor if device == 'cpu' else f'{devices.title(device)}; {processor}'}")
    for setting in map(settings.get, settings.names()):
        state = setting.data_state()
        print(f"data       {setting.name}: {state.state}, {state.message}")
    for problem in map(problems.get, problems.names()):
        state = problem.data_state()
        print(f"data       of fronts, {problem.name}: {state.state}, {state.message}")
    _examine_artifacts()
    _examine_store()
    return 0


def _examine_artifacts() -> None:
    from mtl_core.runs.library import artifacts, exchange, look_aheads, sweeps

    shipped, damaged = artifacts.scan(read=artifacts.read)
    brought, damaged_too = exchange.imported()
    print(f"artifacts  {len(shipped)} in {artifacts.cache_dir()}")
    print(f"artifacts  {len(brought)} imported, in {artifacts.imported_dir()}")
    ahead, damaged_ones = look_aheads.scan()
    print(
        f"           {len(ahead)} look-aheads, in {look_aheads.shipped_dir()} and "
        f"{look_aheads.own_dir()}"
    )
    tables, damaged_tables = sweeps.scan(sweeps.tables_dir())
    print(f"           {len(tables)} sweep tables, in {sweeps.tables_dir()}")
    for line in [*damaged, *damaged_too, *damaged_ones, *damaged_tables.values()]:
        print(f"           skipped: {line}")


def _examine_store() -> None:
    from mtl_core.runs import Store
    from mtl_core.runs.queue.launch import worker_alive

    store = Store()
    if store.notice:
        print(f"store      {store.notice}")
    print(f"store      {store.health()}")
    for run, reason in store.unreadable().items():
        print(f"           skipped: run {run}: {reason}")
    print(f"worker     {'running' if worker_alive(store) else 'none; the app starts one'}")


# Compare.


def _compare(options: argparse.Namespace) -> int:
    from mtl_core.views.comparisons import compared

    answers = _answers()
    runs = [_known(run, answers) for run in options.runs]
    for run in runs:
        if run.config.kind != "training":
            raise InputError(f"{run.config.id} is not a training; only trainings have a transfer")
    against = None if options.against is None else _known(options.against, answers)
    table = compared(runs, options.task or runs[0].config.target, answers, against)
    if options.out is not None:
        try:
            table.to_csv(options.out, index=False)
        except OSError as error:
            raise InputError(f"cannot write {options.out} ({error.strerror})") from error
    for row in table.to_dict("records"):
        print(
            f"{row['run']}  {row['task']} {row['curve']} against {row['baseline']}: "
            f"transfer {row['transfer']:+.4g} [{row['transfer_low']:+.4g}, "
            f"{row['transfer_high']:+.4g}], {row['verdict'] or 'not yet'} "
            f"(±2 SD: {row['paper'] or 'not yet'}); "
            f"gap {row['gap']:+.4g} at loss {row['gap_loss']:.3g}, "
            f"{row['gap_verdict'] or 'not yet'}"
        )
    if len(table) > 1:
        print(f"verdicts with Holm's correction for {len(table)} comparisons")
    return 0


def _known(run: str, answers: "Answers") -> "Answer":
    answer = answers.find_id(run)
    if answer is None:
        raise InputError(f"there is no run {quoted(run)} here; see `list runs` and cache/")
    return answer


# Import and export.


def _import(options: argparse.Namespace) -> int:
    from mtl_core.runs.library import exchange

    for one in exchange.receive_path(options.path, _answers()):
        print(f"{one.run}  {_became(one)}")
    return 0


def _became(one: "Received") -> str:
    """What became of an experiment that was brought here."""
    from mtl_core.runs.library import artifacts

    origins = ", ".join(dict.fromkeys(one.kept.values()))
    ahead = "; with a look-ahead" if one.foretold else ""
    if not one.seeds:
        return f"is here already ({origins}); what was here was kept{ahead}"
    there = artifacts.imported_dir() / one.run
    if not one.kept:
        return f"imported into {there}{ahead}"
    return (
        f"seeds {_spaced(one.seeds)} imported into {there}; seeds {_spaced(sorted(one.kept))} are "
        f"here already ({origins}) and were kept{ahead}"
    )


def _export(options: argparse.Namespace) -> int:
    from mtl_core.runs.library import exchange

    answers = _answers()
    found = [_known(run, answers) for run in options.runs]
    content = exchange.pack(found, answers)
    try:
        options.out.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {options.out} ({error.strerror})") from error
    print(options.out)
    return 0


def _answers() -> "Answers":
    from mtl_core.runs import Answers, Store
    from mtl_core.runs.library import artifacts, exchange

    return Answers(Store(), artifacts.scan(read=artifacts.glance)[0], exchange.imported()[0])
