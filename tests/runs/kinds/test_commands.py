"""The kinds' commands: the line that a page shows repeats the experiment, and is short."""

import argparse
import shlex
from random import Random
from typing import Any

import pytest

from mtl_core import optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, PRECISIONS, RunConfig
from mtl_core.pareto import ParetoConfig, problems, scalarizations
from mtl_core.pareto.config import OPTIMIZERS, STARTS
from mtl_core.runs import kinds
from mtl_core.views.pareto_front import offered

SMALL = "python -m mtl_core run --setting digits --preset quick --aux digits2 --optimizer cagrad"


def line(config: Any, preset: str = "quick") -> str:
    return kinds.of(config).command.line(config, preset)


def asked(line: str) -> Any:
    """The experiment that a line asks for."""
    python, m, package, name, *words = shlex.split(line)
    assert (python, m, package) == ("python", "-m", "mtl_core")
    (kind,) = (kind for kind in kinds.KINDS.values() if kind.command.name == name)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    kind.command.add(parser)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out")
    return kind.command.config(parser.parse_args(words))


def sampled_run(random: Random) -> RunConfig:
    setting = settings.get(random.choice(settings.names()))
    tasks = [task.name for task in setting.tasks]
    target = random.choice(tasks)
    others = [name for name in tasks if name != target]
    return RunConfig.from_preset(
        setting.name,
        random.choice(list(setting.presets)),
        target=target,
        auxiliaries=tuple(random.sample(others, random.randint(0, len(others)))),
        optimizer=random.choice(optimizers.names()),
        base_optimizer=random.choice(BASE_OPTIMIZERS),
        lr=10 ** random.uniform(-9, 3),
        epochs=random.randint(1, 1000),
        samples=random.choice([None, random.randint(64, 250)]),
        held_out=random.choice([None, random.randint(1, 150)]),
        batch_size=random.randint(2, 64),  # BatchNorm needs two
        width=random.randint(1, 512),
        early_checkpoints=random.randint(0, 64),
        precision=random.choice(PRECISIONS),
        sharpness_rho=random.choice([1e-3, 5e-3, 1e-2, 1e-1, 10 ** random.uniform(-9, 0)]),
        seeds=tuple(random.sample(range(2**31), random.randint(1, 8))),
    )


def sampled_front(random: Random) -> ParetoConfig:
    name = random.choice([one for one in problems.names() if one != "csv"])
    options: tuple[tuple[str, Any], ...] = ()
    if random.random() < 0.2:
        name, options = "csv", (("file", random.choice(["5", "a b.csv", "1e3", "true"])),)
        options = (*options, ("targets", random.choice(["y,z", "1,2", "x y,'q'"])))
    objectives = len(problems.get(name).given(dict(options)).objectives)
    method = random.choice(offered(name))
    method_options: dict[str, Any] = {}
    if method == "decay":
        method_options = {"halving": random.choice([7, 20, 99]), "strength": random.random() / 2}
    changes: dict[str, Any] = {}
    layout = random.choice(["lattice", "random", "given"])
    if layout == "given":
        rows = []
        for _ in range(random.randint(objectives, 6)):
            drawn = [random.choice([0.0, random.random()]) for _ in range(objectives - 1)]
            scale = max(sum(drawn), 1.0)
            drawn = [one / scale for one in drawn]
            rows.append((*drawn, max(1 - sum(drawn), 0.0)))
        changes["preferences"] = tuple(rows)
    else:
        changes |= {"layout": layout, "layout_seed": random.randint(0, 99)}
        changes["solutions"] = random.randint(objectives, 70)
    samples = random.choice([None, random.randint(64, 5000)])
    return ParetoConfig.from_preset(
        name,
        random.choice(["quick", "standard", "paper"]),
        problem_options=options,
        method=method,
        method_options=tuple(method_options.items()),
        scalarization=random.choice(scalarizations.names()),
        smoothing=10 ** random.uniform(-5, 1),
        optimizer=random.choice(OPTIMIZERS),
        lr=10 ** random.uniform(-9, 3),
        iterations=random.randint(1, 10_000),
        batch_size=random.choice([None, random.randint(1, 64)]),
        samples=samples,
        held_out=random.choice([None, random.randint(1, 1000)]),
        frames=random.randint(1, 200),
        seeds=tuple(random.sample(range(2**31), random.randint(1, 8))),
        start=random.choice(STARTS),
        **changes,
    )


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
@pytest.mark.parametrize("sampled", [sampled_run, sampled_front])
def test_the_printed_line_repeats_any_experiment(sampled: Any, preset: str) -> None:
    for number in range(100):
        config = sampled(Random(number))
        said = line(config, preset)
        assert said.endswith(" --out out")
        again = asked(said)
        assert again == config
        assert (again.id, again.seeds) == (config.id, config.seeds)


def test_the_printed_line_is_short() -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",))
    assert line(config) == (
        "python -m mtl_core run --setting digits --target digits1 --aux digits2 --optimizer umtg "
        "--preset quick --seeds 0 1 2 --out out"
    )
    front = ParetoConfig.from_preset("toy", "quick", method="decay")
    assert line(front) == (
        "python -m mtl_core front --problem toy --method decay --scalarization tchebycheff "
        "--preset quick --seeds 0 1 2 --out out"
    )
    shared = ParetoConfig.from_preset("toy", "quick", method="averaged", start="shared")
    assert line(shared) == (
        "python -m mtl_core front --problem toy --method averaged --scalarization tchebycheff "
        "--preset quick --start shared --seeds 0 1 2 --out out"
    )


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("cagrad", {"c": 0.1 + 0.2, "scale": "match_sum"}),
        ("cagrad", {"c": 0}),
        ("mgda", {"normalization": "loss+"}),
        ("famo", {"weight_decay": 1e-07}),
    ],
)
def test_options_of_an_optimizer_survive_the_printed_line(
    optimizer: str, options: dict[str, Any]
) -> None:
    config = RunConfig.from_preset(
        "digits",
        "quick",
        auxiliaries=("digits2",),
        optimizer=optimizer,
        options=tuple(options.items()),
    )
    assert dict(config.options) == options
    again = asked(line(config))
    assert again == config
    assert [type(v) for _, v in again.options] == [type(v) for _, v in config.options]


def test_an_option_at_its_default_is_no_option() -> None:
    plain, said = asked(SMALL), asked(f"{SMALL} --option c=0.5")
    assert (said, said.id) == (plain, plain.id)
