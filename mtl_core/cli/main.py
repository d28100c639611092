"""The command line. A request that cannot be carried out costs one line and exit code 2."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mtl_core import optimizers, settings
from mtl_core.cli import fronts as cli_fronts
from mtl_core.cli.fronts import front_line
from mtl_core.cli.words import PRESETS, count, option, progress, progress_ends, written
from mtl_core.config import BASE_OPTIMIZERS, RunConfig
from mtl_core.errors import InputError, TrainingDiverged, quoted, unknown
from mtl_core.pareto import ParetoConfig, problems
from mtl_core.trajectory import FACTORS

if TYPE_CHECKING:
    from mtl_core.runs.front_answers import FrontAnswers
    from mtl_core.runs.library.answers import Answers

__all__ = ["command_line", "front_line", "main", "parse_config", "parse_front"]

BACKENDS = ("loky", "dask", "ray")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Returns:
        0; 1 when training failed after it had begun; 2 for a request that cannot be carried out.
    """
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        code = command(options)
        sys.stdout.flush()
    except InputError as error:
        return _complain(error, 2)
    except TrainingDiverged as error:
        return _complain(error, 1)
    except BrokenProcessPool as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def parse_config(arguments: Sequence[str]) -> RunConfig:
    """The config that ``run`` with these arguments trains. Raises InputError."""
    return _config(_parser().parse_args(["run", *arguments]))


def parse_front(arguments: Sequence[str]) -> ParetoConfig:
    """The config that ``front`` with these arguments solves. Raises InputError."""
    return cli_fronts.config_of(_parser().parse_args(["front", *arguments]))


def command_line(config: RunConfig, preset: str = "quick", out: str = "out") -> str:
    """The ``python -m mtl_core run`` line that repeats a run."""
    plain = RunConfig.from_preset(
        config.setting, preset, target=config.target, auxiliaries=config.auxiliaries
    )
    words = ["--setting", config.setting, "--target", config.target]
    if config.auxiliaries:
        words += ["--aux", *config.auxiliaries, "--optimizer", config.optimizer]
        for name, value in config.options:
            words += ["--option", f"{name}={written(value)}"]
    words += ["--preset", preset]
    for name, flag in _BUDGET.items():
        value = getattr(config, name)
        if value != getattr(plain, name):
            words += [flag, "all" if value is None else format(value)]
    if config.factors != FACTORS:
        words += ["--factors", *config.factors]
    if config.auxiliary_factors:
        words.append("--auxiliary-factors")
    words += ["--seeds", *map(str, config.seeds), "--out", out]
    return f"python -m mtl_core run {shlex.join(words)}"


_BUDGET = {
    "base_optimizer": "--base-optimizer",
    "lr": "--lr",
    "batch_size": "--batch-size",
    "epochs": "--epochs",
    "samples": "--samples",
    "held_out": "--held-out",
    "width": "--width",
    "early_checkpoints": "--early-checkpoints",
    "factor_points": "--factor-points",
    "factor_examples": "--factor-examples",
    "apgd_steps": "--apgd-steps",
    "fisher_draws": "--fisher-draws",
    "similarity_batches": "--similarity-batches",
}
"""Fields of RunConfig that a preset sets, and the flags that override them."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **words: Any) -> None:
        super().__init__(**words, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`")


def _complain(error: Exception, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m mtl_core", description="Multi-task transfer, measured.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands.add_parser("run", help="train one config and write its trajectory"))
    cli_fronts.add_front(commands.add_parser("front", help="solve one front and write it"))
    _add_precompute(commands.add_parser("precompute", help="train and solve what a plan names"))

    listing = commands.add_parser("list", help="what there is")
    listing.set_defaults(command=_list)
    listing.add_argument("what", choices=list(_LISTS))

    doctor = commands.add_parser("doctor", help="device, data, store")
    doctor.set_defaults(command=_doctor)

    take_in = commands.add_parser("import", help="take in runs and fronts from another machine")
    take_in.set_defaults(command=_import)
    take_in.add_argument("path", type=Path, metavar="FILE.zip|DIR")

    export = commands.add_parser("export", help="write finished runs and fronts into a zip file")
    export.set_defaults(command=_export)
    export.add_argument("runs", nargs="+", metavar="RUN_ID", help="as `list runs` names them")
    export.add_argument("--out", type=Path, required=True, metavar="FILE.zip")

    download = commands.add_parser("download", help="fetch a public data set")
    download.set_defaults(command=_download)
    download.add_argument("name", metavar="DATASET")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.set_defaults(command=_run)
    run.add_argument("--setting", required=True, help=", ".join(settings.names()))
    run.add_argument("--target", help="default: the setting's first task")
    run.add_argument("--aux", nargs="*", default=[], help="auxiliary tasks; none: single-task")
    run.add_argument("--optimizer", default="umtg", help=", ".join(optimizers.names()))
    run.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--preset", default="standard", help=", ".join(PRESETS))
    run.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    run.add_argument("--factors", nargs="*", default=FACTORS, help="default: all of them")
    run.add_argument("--factor-points", type=count, help="checkpoints at which, or all")
    run.add_argument("--factor-examples", type=int, help="training examples to measure on")
    run.add_argument("--apgd-steps", type=int, help="of sharpness; the paper's are 20")
    run.add_argument("--fisher-draws", type=int, help="labels sampled for each example")
    run.add_argument("--similarity-batches", type=int, help="random batches averaged over")
    run.add_argument(
        "--auxiliary-factors", action="store_true", help="measure the auxiliary tasks too"
    )
    run.add_argument("--base-optimizer", help=", ".join(BASE_OPTIMIZERS))
    run.add_argument("--lr", type=float)
    run.add_argument("--batch-size", type=int)
    run.add_argument("--epochs", type=int)
    run.add_argument("--samples", type=count, help="training examples per task, or all")
    run.add_argument("--held-out", type=count, help="validation and test examples, or all")
    run.add_argument("--width", type=int, help="channels of the encoder's first layer")
    run.add_argument("--early-checkpoints", type=int, help="log-spaced, inside the first epoch")
    run.add_argument("--device", help="cpu or cuda; default: the best there is")
    run.add_argument("--out", type=Path, required=True, metavar="DIR")


def _add_precompute(precompute: argparse.ArgumentParser) -> None:
    precompute.set_defaults(command=_precompute)
    precompute.add_argument(
        "plan", type=Path, metavar="PLAN.toml", help="with tables [[grid]], [[front]]"
    )
    precompute.add_argument(
        "--backend", default="loky", choices=BACKENDS, help="default: loky; others are extras"
    )
    precompute.add_argument(
        "--jobs", type=int, metavar="N", help="processes; default: one per core, or all workers"
    )
    precompute.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask or Ray cluster; default: a local one"
    )
    precompute.add_argument("--out", type=Path, metavar="DIR", help="default: cache/")


def _config(options: argparse.Namespace) -> RunConfig:
    given = {name: getattr(options, name) for name in _BUDGET}
    changes: dict[str, Any] = {
        name: None if value == "all" else value
        for name, value in given.items()
        if value is not None
    }
    if options.target is not None:
        changes["target"] = options.target
    return RunConfig.from_preset(
        options.setting,
        options.preset,
        auxiliaries=tuple(options.aux),
        optimizer=options.optimizer,
        options=tuple(map(option, options.option)),
        seeds=tuple(options.seeds),
        factors=tuple(options.factors),
        auxiliary_factors=options.auxiliary_factors,
        **changes,
    )


def _run(options: argparse.Namespace) -> int:
    config = _config(options)

    from mtl_core.runs.collected import Collected
    from mtl_core.runs.library import artifacts, folders
    from mtl_core.training import devices, train

    device = devices.choose(options.device)
    info = artifacts.provenance(config, device)
    folders.check_without(options.out, "front.parquet")
    folders.check_writable(options.out)
    started = time.monotonic()
    found = Collected()
    steps = dict.fromkeys(config.seeds, 0)
    try:
        for checkpoint in train(config, device=device):
            found.add(checkpoint)
            steps |= dict.fromkeys(checkpoint.seeds, checkpoint.step)
            progress(sum(steps.values()), config.steps * len(steps), started)
    except BaseException as error:
        info["error"] = str(error) or "stopped before its end"
        raise
    finally:
        progress_ends()
        if found.rows:
            info["duration_seconds"] = round(time.monotonic() - started, 3)
            found.write(options.out, config, info)
            print(options.out)
    return 0


def _precompute(options: argparse.Namespace) -> int:
    from mtl_core.runs.grids import precompute
    from mtl_core.runs.library.artifacts import cache_dir

    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"jobs {options.jobs} must be at least 1")
    return precompute.precompute(
        precompute.read_plan(options.plan),
        options.out or cache_dir(),
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
    )


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
    for record in store.runs():
        config = record.config
        share = record.steps_done / record.steps_total
        print(
            f"{record.id}  {record.state:9} {share:4.0%}  {config.setting} {config.target} "
            f"{config.auxiliaries_label}  lr {config.lr:g}  epochs {config.epochs}  "
            f"seeds {' '.join(map(str, config.seeds))}"
        )
    for front in store.fronts():
        share = front.steps_done / front.steps_total
        print(f"{front.id}  {front.state:9} {share:4.0%}  {cli_fronts.in_words(front.config)}")
    for run, reason in store.unreadable().items():
        print(f"{run}  skipped: {reason}")


_LISTS: dict[str, Callable[[], None]] = {
    "settings": _list_settings,
    "optimizers": _list_optimizers,
    "problems": _list_problems,
    "runs": _list_runs,
}


def _doctor(options: argparse.Namespace) -> int:
    from mtl_core.runs import Store, front_artifacts
    from mtl_core.runs.library import artifacts, exchange
    from mtl_core.runs.queue.launch import worker_alive
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
    shipped, brought = artifacts.cache_dir(), artifacts.imported_dir()
    damaged: list[str] = []
    for (found, skipped), where in (
        (artifacts.scan(), f"in {shipped}"),
        (exchange.imported(), f"imported, in {brought}"),
        (front_artifacts.scan(), f"of fronts, in {shipped}"),
        (exchange.imported_fronts(), f"of fronts imported, in {brought}"),
    ):
        print(f"artifacts  {len(found)} {where}")
        damaged += skipped
    for line in damaged:
        print(f"           skipped: {line}")
    store = Store()
    if store.notice:
        print(f"store      {store.notice}")
    print(f"store      {store.health()}")
    for run, reason in store.unreadable().items():
        print(f"           skipped: run {run}: {reason}")
    print(f"worker     {'running' if worker_alive(store) else 'none; the app starts one'}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from mtl_core.runs.library import artifacts, exchange

    for one in exchange.receive_path(options.path, _answers(), _front_answers()):
        if one.kept is None:
            print(f"{one.run}  imported into {artifacts.imported_dir() / one.run}")
        else:
            print(f"{one.run}  is here already ({one.kept}); what was here was kept")
    return 0


def _export(options: argparse.Namespace) -> int:
    from mtl_core.runs.library import exchange

    answers, fronts = _answers(), _front_answers()
    found = []
    for run in options.runs:
        answer = answers.find_id(run) or fronts.find_id(run)
        if answer is None:
            raise InputError(f"there is no run {quoted(run)} here; see `list runs` and cache/")
        found.append(answer)
    content = exchange.pack(found, answers)
    try:
        options.out.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {options.out} ({error.strerror})") from error
    print(options.out)
    return 0


def _answers() -> "Answers":
    from mtl_core.runs import Store
    from mtl_core.runs.library import artifacts, exchange
    from mtl_core.runs.library.answers import Answers

    return Answers(Store(), {**exchange.imported()[0], **artifacts.scan()[0]})


def _front_answers() -> "FrontAnswers":
    from mtl_core.runs import Store, front_artifacts
    from mtl_core.runs.front_answers import FrontAnswers
    from mtl_core.runs.library import exchange

    return FrontAnswers(Store(), {**exchange.imported_fronts()[0], **front_artifacts.scan()[0]})


def _download(options: argparse.Namespace) -> int:
    from mtl_core.data import sources

    every = map(settings.get, settings.names())
    known = list(dict.fromkeys(name for setting in every for name in setting.sources))
    if options.name not in known:
        raise unknown("data set", options.name, known)
    print(sources.download(options.name))
    return 0
