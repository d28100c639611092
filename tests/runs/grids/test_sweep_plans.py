"""Plans of sweeps: what a file chooses among, and one line for what it cannot."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.grids.plans import read_plan
from mtl_core.runs.grids.sweep_plans import read_sweeps

ROOT = Path(__file__).parents[3]
PLANS = ROOT / "plans"
SWEEPS = sorted(PLANS.glob("*sweep.toml"))
Write = Callable[[str], Path]


@pytest.fixture
def plan(tmp_path: Path) -> Write:
    """A plan of sweeps beside two plans of real runs."""
    (tmp_path / "real.toml").write_text("[[grid]]\nsetting = 'digits'\n")
    (tmp_path / "more.toml").write_text("[[grid]]\nsetting = 'digits'\nseeds = [7]\n")
    (tmp_path / "fixed.toml").write_text("[[grid]]\nsetting = 'digits'\nlr = [0.1, 0.2]\n")
    (tmp_path / "inline.toml").write_text("grid = [{ setting = 'digits' }]\n")
    (tmp_path / "fronts.toml").write_text("[[front]]\nproblem = 'toy'\n")
    (tmp_path / "broken.toml").write_text("[[grid]\n")

    def write(text: str) -> Path:
        path = tmp_path / "try.toml"
        path.write_text(text)
        return path

    return write


def test_a_sweep_is_every_pair_for_every_experiment_with_one_seed(plan: Write) -> None:
    (sweep,) = read_sweeps(
        plan(
            """
            [[sweep]]
            setting = "digits"
            preset = "standard"
            epochs = 3
            target = ["digits1", "digits2"]
            auxiliaries = [[], ["noisy_digits"]]
            lr = [0.1, 0.01]
            batch_size = [16, 32, 64]
            into = ["real.toml", "more.toml", "real.toml"]
            """
        )
    )
    assert sweep.setting == "digits"
    assert sweep.seed == 100
    assert [path.name for path in sweep.into] == ["real.toml", "more.toml"]
    assert {*sweep.experiments} == {
        RunConfig.from_preset(
            "digits",
            "standard",
            target=target,
            auxiliaries=auxiliaries,
            lr=lr,
            batch_size=size,
            epochs=3,
            factors=(),
            early_checkpoints=0,
        )
        for target in ("digits1", "digits2")
        for auxiliaries in ((), ("noisy_digits",))
        for lr in (0.1, 0.01)
        for size in (16, 32, 64)
    }
    assert len(sweep.experiments) == 24
    assert {one.seeds for one in sweep.experiments} == {(100,)}


def test_what_is_given_replaces_what_is_usual(plan: Write) -> None:
    (sweep,) = read_sweeps(
        plan(good("seeds = [5]\nfactors = ['sharpness']\nearly_checkpoints = 2"))
    )
    (one,) = {(c.seeds, c.factors, c.early_checkpoints) for c in sweep.experiments}
    assert one == ((5,), ("sharpness",), 2)


def good(more: str = "", **changes: str) -> str:
    fields = {"setting": "'digits'", "lr": "[0.1, 0.2]", "batch_size": "[16]"}
    fields |= {"into": "'real.toml'"} | changes
    lines = [f"{name} = {value}" for name, value in fields.items() if value]
    return "\n".join(["[[sweep]]", *lines, more, ""])


BAD = {
    "": r"plan .* has no \[\[sweep\]\]; see plans/ for examples",
    "sweep = 3": r"plan .* has no \[\[sweep\]\]; see plans/",
    "sweep = [1]": r"sweep 1 of plan .*: 1 is not a table; write \[\[sweep\]\]",
    "[[sweep]\n": r"plan .* is not TOML \(",
    "[[grid]]\nsetting = 'digits'": r"plan .*: unknown table 'grid'; one of: sweep",
    good(setting="['digits']"): r"setting \['digits'\] is a list; a sweep chooses learning rate",
    good(setting="3"): r"setting 3 is not a name; one setting to each grid",
    good(setting="'mars'"): r"sweep 1 of plan .*: unknown setting 'mars'; one of: ",
    good("epoch = 3"): r"unknown field 'epoch'; one of: setting, .*, preset, into$",
    good("epochs = [3, 4]"): r"epochs \[3, 4\] is a list; a sweep chooses learning rate and batch",
    good("optimizer = ['mgda']"): r"optimizer \['mgda'\] is a list; a sweep",
    good(lr=""): r"lr None is not a list to choose among, such as \[1e-3, 5e-4\]",
    good(lr="0.1"): r"lr 0\.1 is not a list to choose among",
    good(batch_size=""): r"batch_size None is not a list to choose among, such as \[64, 128\]",
    good(lr="[]"): r"field 'lr' is an empty list",
    good(lr="[0.1]"): r"one learning rate and one batch size leave nothing to choose among",
    good(lr="[0.1, 0.1]"): r"one learning rate and one batch size leave nothing to choose among",
    good(lr="[0.1, 'fast']"): r"learning rate 'fast' is not a number",
    good(batch_size="[16, 9999]"): r"batch size 9999 is larger than the \d+ training examples",
    good("seeds = 3"): r"seeds 3 are not a list",
    good("seeds = []"): r"no seeds; give at least one",
    good("seeds = [100, 101]"): r"seeds \[100, 101\] are not one; give it one, as \[100\]",
    good("seeds = [1]"): r"into real\.toml: its runs of digits have seed 1 too, on which they must",
    good("auxiliaries = ['digits2']"): r"are not a list of lists",
    good(into=""): r"into None is not the name of a plan beside this one, nor a list of names",
    good(into="[]"): r"into is an empty list; name the plan",
    good(into="[3]"): r"into \[3\] is not the name of a plan beside this one",
    good(into="'../real.toml'"): r"into '\.\./real\.toml' is not the name of a plan beside this",
    good(into="'nowhere.toml'"): r"sweep 1 of plan .*: cannot read plan .*nowhere\.toml \(No such",
    good(into="'broken.toml'"): r"plan .*broken\.toml is not TOML",
    good(
        into="'try.toml'"
    ): r"plan .*try\.toml chooses learning rates and batch sizes; carry it out",
    good(into="'fronts.toml'"): r"into fronts\.toml: it has no grid of digits",
    good(
        into="'fixed.toml'"
    ): r"into fixed\.toml: every grid of digits in it gives lists of its own",
    good(into="'inline.toml'"): r"plan .*inline\.toml: the lines of its grids of digits cannot be",
    good() + good(): r"sweep 2 of plan .*: a second one of digits; put it into another plan",
    "[[sweep]]\nsetting = 'cityscapes'\nlr = [1e-1, 1e-2]\nbatch_size = [4]\ninto = 'real.toml'\n"
    "target = ['segmentation', 'depth']": r"higher is better for segmentation and lower for depth",
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_carried_out_is_one_line(plan: Write, text: str) -> None:
    with pytest.raises(InputError, match=BAD[text]) as caught:
        read_sweeps(plan(text))
    assert "\n" not in str(caught.value)


# the plans that ship


def test_precompute_says_what_a_plan_of_sweeps_is_for(plan: Write) -> None:
    path = plan(good())
    said = f"plan {path} chooses learning rates and batch sizes; carry it out with "
    with pytest.raises(InputError, match=f"^{re.escape(said)}`python -m mtl_core sweep "):
        read_plan(path)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_the_plans_that_ship_can_be_read_and_have_a_seed_of_their_own(path: Path) -> None:
    manifests = [json.loads(file.read_text()) for file in (ROOT / "cache").glob("**/manifest.json")]
    shipped = {seed for one in manifests for group in one["made"] for seed in group["seeds"]}
    assert {0, 1, 2} <= shipped
    assert not {sweep.seed for sweep in read_sweeps(path)} & shipped


def test_the_papers_sweep_is_on_every_setting_with_data_at_the_papers_grid() -> None:
    sweeps = {one.setting: one for one in read_sweeps(PLANS / "paper_sweep.toml")}
    assert set(sweeps) == {"fashion", "mnists", "cifar100", "celeba", "cityscapes", "glue"}
    for sweep in sweeps.values():
        tried = {(one.lr, one.batch_size) for one in sweep.experiments}
        assert {size for _, size in tried} == {4, 16, 32, 64, 128, 256}
        assert {lr for lr, _ in tried} == {0.1, 0.05, 0.01, 0.005, 1e-3, 5e-4, 1e-4, 5e-5, 1e-5}
        assert len(tried) == 54
        assert {bool(one.auxiliaries) for one in sweep.experiments} == {True, False}
