"""Plans: which experiments a file names, and one line for what it cannot name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig, problems
from mtl_core.pareto.config import METHODS
from mtl_core.runs.grids.plans import read_plan

Make = Callable[..., Any]
PLANS = Path(__file__).parents[3] / "plans"


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return path

    return write


def test_lists_are_swept_and_each_experiment_is_there_once(plan: Make) -> None:
    configs = read_plan(
        plan(
            """
            [[grid]]
            setting = "digits"
            preset = ["quick", "standard"]
            auxiliaries = [[], ["digits2"], ["noisy_digits", "digits2"]]
            lr = [0.1, 0.01]
            seeds = [4, 2]

            [[grid]]
            setting = "digits"
            lr = 0.1
            seeds = [2, 4]

            [[grid]]
            setting = "digits"
            target = ["digits1", "digits2"]
            epochs = 1
            """
        )
    )
    preset = settings.get("digits").preset
    assert len(configs) == len(set(configs)) == 2 * 3 * 2 + 2
    swept = configs[:12]
    assert {(c.epochs, c.auxiliaries_label, c.lr) for c in swept} == {
        (epochs, label, lr)
        for epochs in (preset("quick").epochs, preset("standard").epochs)
        for label in ("stl", "digits2", "digits2+noisy_digits")
        for lr in (0.1, 0.01)
    }
    assert {c.seeds for c in swept} == {(2, 4)}
    assert [(c.target, c.epochs, c.lr, c.seeds) for c in configs[12:]] == [
        ("digits1", 1, preset("quick").lr, (0, 1, 2)),
        ("digits2", 1, preset("quick").lr, (0, 1, 2)),
    ]


BOTH = """
[[front]]
problem = "toy"
preset = ["quick", "standard"]
method = ["independent", "mgda"]
scalarization = ["weighted_sum", "tchebycheff"]
seeds = [4, 2]

[[front]]
problem = "toy"
scalarization = "tchebycheff"
method = "independent"
seeds = [2, 4]

[[front]]
problem = "three"
preferences = [[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.2, 0.6, 0.2]]
method = "decay"
method_options = { halving = 7 }
lr = [0.1, 0.2]

[[front]]
problem = "csv"
problem_options = { file = "x.csv", targets = "a,b" }

[[grid]]
setting = "digits"
"""


def test_rho_is_swept_over(plan: Make) -> None:
    text = '[[grid]]\nsetting = "digits"\nsharpness_rho = [1e-3, 5e-3, 1e-2, 1e-1]'
    configs = read_plan(plan(text))
    assert [config.sharpness_rho for config in configs] == [1e-3, 5e-3, 1e-2, 1e-1]
    assert configs[0] == RunConfig.from_preset("digits", "quick")
    assert len({config.id for config in configs}) == 4


def test_both_kinds_are_read_and_training_comes_first(plan: Make) -> None:
    run, *found = read_plan(plan(BOTH))
    assert isinstance(run, RunConfig)
    assert all(isinstance(one, ParetoConfig) for one in found)
    # MGDA asks nothing of a scalarization, so that sweeping over both gives one front of it.
    swept, rest = found[:6], found[6:]
    assert {(c.solutions, c.method, c.scalarization) for c in swept} == {
        (problems.get("toy").preset(preset).solutions, method, scalarization)
        for preset in ("quick", "standard")
        for method, scalarization in (
            ("independent", "weighted_sum"),
            ("independent", "tchebycheff"),
            ("mgda", "tchebycheff"),
        )
    }
    assert {c.seeds for c in swept} == {(2, 4)}
    assert [c.lr for c in rest[:2]] == [0.1, 0.2]
    assert {c.preferences for c in rest[:2]} == {
        ((0.2, 0.3, 0.5), (0.6, 0.2, 0.2), (0.2, 0.6, 0.2))
    }
    assert {c.method_options for c in rest[:2]} == {(("halving", 7),)}
    assert rest[2].problem_options == (("file", "x.csv"), ("targets", "a,b"))
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("table", "subject"), [("grid", "setting = 'digits'"), ("front", "problem = 'toy'")]
)
def test_all_seeds_that_an_experiment_is_named_with_count(
    plan: Make, table: str, subject: str
) -> None:
    def named(seeds: list[int]) -> str:
        return f"[[{table}]]\n{subject}\nseeds = {seeds}\n"

    text = named([5, 0]) + named([1, 0]) + f"[[{table}]]\n{subject}\nlr = 0.5\nseeds = [9]\n"
    assert [config.seeds for config in read_plan(plan(text))] == [(0, 1, 5), (9,)]
    many = named(list(range(40))) + named(list(range(30, 70)))
    with pytest.raises(InputError, match=r"^plan .*: 70 seeds are more than 64; give fewer$"):
        read_plan(plan(many))


@pytest.mark.parametrize(
    "path", sorted({*PLANS.glob("*.toml")} - {*PLANS.glob("*sweep.toml")}), ids=str
)
def test_the_plans_that_ship_can_be_read(path: Path) -> None:
    assert read_plan(path)


def test_the_plan_of_fronts_names_every_problem_that_has_data() -> None:
    configs = read_plan(PLANS / "fronts.toml")
    assert {c.problem for c in configs} == {*problems.names()} - {"csv", "nyuv2"}
    toy = [c for c in configs if c.problem == "toy"]
    assert {(c.method, c.scalarization, c.start) for c in toy} == {
        *((m, "tchebycheff", "own") for m in METHODS),
        *(("independent", s, "own") for s in ("weighted_sum", "smooth_tchebycheff")),
        *((m, "tchebycheff", "shared") for m in ("independent", "decay", "adaptive")),
    }
    assert {c.seeds for c in toy} == {tuple(range(10))}
    assert {c.seeds for c in configs if c.problem != "toy"} == {(0, 1, 2)}
    assert len(configs) == 12 + 2 * 7 + 6 + 3 * 5


BAD = {
    "": r"plan .* has neither \[\[grid\]\] nor \[\[front\]\]; see plans/",
    "grid = []": r"plan .* has neither \[\[grid\]\] nor \[\[front\]\]; see plans/",
    "grid = 3": r"plan .* has no \[\[grid\]\], but grid = 3",
    "grid = [1]": r"grid 1 of plan .*: 1 is not a table; write \[\[grid\]\]",
    "[[grid]\n": r"plan .* is not TOML \(",
    "[[grid]]\npreset = 'quick'": r"grid 1 of plan .*: setting None is not a name",
    "[[grid]]\nsetting = ['digits']": r"setting \['digits'\] is not a name",
    "[[grid]]\nsetting = 'marsian'": r"unknown setting 'marsian'; one of: ",
    "[[grid]]\nsetting = 'digits'\npreset = 'huge'": r"unknown preset of digits 'huge'",
    "[[grid]]\nsetting = 'digits'\nepoch = 3": r"unknown field 'epoch'; one of: setting, ",
    "[[grid]]\nsetting = 'digits'\nseeds = 3": r"seeds 3 are not a list, such as \[0, 1, 2\]",
    "[[grid]]\nsetting = 'digits'\nseeds = '012'": r"seeds '012' are not a list",
    "[[grid]]\nsetting = 'digits'\nseeds = ['a']": r"seed 'a' is not a whole number",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = 'digits2'": r"'digits2' are not a list of lists",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = ['digits2']": r"are not a list of lists",
    "[[grid]]\nsetting = 'digits'\nauxiliaries = [['digits1']]": r"'digits1' is among its own aux",
    "[[grid]]\nsetting = 'digits'\nlr = []": r"field 'lr' is an empty list",
    "[[grid]]\nsetting = 'digits'\nlr = 'fast'": r"learning rate 'fast' is not a number",
    "[[grid]]\nsetting = 'digits'\nepochs = [1, 0]": r"epochs 0 must be between",
    "[[grid]]\nsetting = 'digits'\noptimizer = 'pcgard'": r"unknown optimizer 'pcgard'",
    "[[grid]]\nsetting = 'digits'\n[[grid]]\nsetting = 'x'": r"grid 2 of plan .*: unknown setting",
    "fronts = 3": r"plan .*: unknown table 'fronts'; one of: grid, front",
    "front = 3": r"plan .* has no \[\[front\]\], but front = 3",
    "front = [1]": r"front 1 of plan .*: 1 is not a table; write \[\[front\]\]",
    "[[front]]\npreset = 'quick'": r"front 1 of plan .*: problem None is not a name; one problem",
    "[[front]]\nproblem = ['toy']": r"problem \['toy'\] is not a name; one problem to each front",
    "[[front]]\nproblem = 'mars'": r"unknown problem 'mars'; one of: toy, ",
    "[[front]]\nproblem = 'toy'\npreset = 'huge'": r"unknown preset of toy 'huge'",
    "[[front]]\nproblem = 'toy'\nsetting = 'digits'": r"unknown field 'setting'; one of: problem, ",
    "[[front]]\nproblem = 'toy'\nseeds = 3": r"seeds 3 are not a list, such as \[0, 1, 2\]",
    "[[front]]\nproblem = 'toy'\nmethod = []": r"field 'method' is an empty list",
    "[[front]]\nproblem = 'toy'\nmethod = 'magic'": r"unknown method 'magic'; one of: ",
    "[[front]]\nproblem = 'toy'\nmethod = {a = 1}": r"unknown method \{'a': 1\}; one of: ",
    "[[front]]\nproblem = 'toy'\nscalarization = 2": r"unknown scalarization 2; one of: ",
    "[[front]]\nproblem = 'toy'\nlayout = 'ring'": r"unknown layout 'ring'; one of: ",
    "[[front]]\nproblem = 'toy'\nsolutions = 'few'": r"number of solutions 'few' is not a whole",
    "[[front]]\nproblem = 'toy'\nlr = 'fast'": r"learning rate 'fast' is not a number",
    "[[front]]\nproblem = 'toy'\npreferences = [0.5, 0.5]": r"are not a list of lists, such as",
    "[[front]]\nproblem = 'toy'\npreferences = [[0.5, 0.6]]": r"preference .* 1\.1",
    "[[front]]\nproblem = 'toy'\nmethod_options = ['x']": r"method_options \['x'\] are not a table",
    "[[front]]\nproblem = 'toy'\nmethod_options = {x = 1}": r"unknown option of transfer .* 'x'",
    "[[front]]\nproblem = 'toy'\nproblem_options = {x = [1]}": r"problem option 'x'=\[1\] is not a",
    "[[front]]\nproblem = 'toy'\nproblem_options = {x = 1}": r"toy has no options; leave 'x' out",
    "[[front]]\nproblem = 'csv'": r"csv needs the option targets, two columns or more",
}


@pytest.mark.parametrize("text", BAD)
def test_a_plan_that_cannot_be_carried_out_says_why_in_one_line(plan: Make, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        read_plan(plan(text))
    assert len(str(caught.value).splitlines()) == 1


def test_a_plan_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read plan .*nowhere.toml \(No such file"):
        read_plan(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match=r"cannot read plan .* \(Is a directory"):
        read_plan(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"x.toml is not TOML"):
        read_plan(tmp_path / "x.toml")
