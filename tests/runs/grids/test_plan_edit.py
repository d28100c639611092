"""Edits of plans: a pair into the grids of a setting, and all else byte for byte."""

import doctest
import re
import tomllib
from pathlib import Path

import pytest

from mtl_core.errors import InputError
from mtl_core.runs.grids import plan_edit
from mtl_core.runs.grids.plan_edit import edited, put

PLANS = Path(__file__).parents[3] / "plans"

BEFORE = """\
# What the runs are for.

[[grid]]
setting = "fashion"   # by hand
preset = "standard"
lr   =  1e-3 # the preset's
auxiliaries = [
    ["fashion2"],  # a row that begins like a header
    [
        "noisy_fashion",
    ],
]
batch_size=64

# What the next one is for.

[[grid]]
setting = "digits"
lr = 0.5

  [[ grid ]]  # indented
  setting = 'fashion'
seeds = [0]
# batch_size = 8

[[front]]
problem = "toy"
lr = 0.5

[[grid]]
lr = [1e-3]
setting = "fashion"
"""

AFTER = (
    BEFORE.replace("lr   =  1e-3 #", "lr   =  5e-4 #")
    .replace("batch_size=64", "batch_size=256")
    .replace("setting = 'fashion'\n", "setting = 'fashion'\nlr = 5e-4\nbatch_size = 256\n")
)


def test_the_example_holds() -> None:
    assert doctest.testmod(plan_edit).failed == 0


def test_the_grids_of_the_setting_have_the_pair_and_nothing_else_changes() -> None:
    edit = edited(BEFORE, "fashion", 5e-4, 256)
    assert edit.text == AFTER
    assert edit.grids == (1, 3)
    assert edit.kept == (4,), "a list of one is meant as it is"


def test_what_is_there_stays_as_it_is_written() -> None:
    text = "[[grid]]\nsetting = 'digits'\nlr = 0.001000\nbatch_size = 1_28"
    assert edited(text, "digits", 1e-3, 128).text == text
    assert edited(AFTER, "fashion", 5e-4, 256).text == AFTER


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_end_as_they_did(end: str) -> None:
    newline = end or "\n"
    text = f"[[grid]]{newline}setting = 'digits'{end}"
    expected = f"[[grid]]{newline}setting = 'digits'{newline}lr = 1e-2{newline}batch_size = 8{end}"
    assert edited(text, "digits", 0.01, 8).text == expected


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=lambda path: path.name)
def test_the_plans_that_ship_can_be_edited(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plan = tomllib.loads(text)
    for setting in {grid["setting"] for grid in plan.get("grid", [])}:
        edit = edited(text, setting, 0.0123, 77)
        changed = tomllib.loads(edit.text)["grid"]
        for number, (old, new) in enumerate(zip(plan["grid"], changed, strict=True), start=1):
            pair = {"lr": 0.0123, "batch_size": 77} if number in edit.grids else {}
            assert new == old | pair
        lines = edit.text.splitlines()
        fixed = [one for one in text.splitlines() if not one.startswith(("lr =", "batch_size ="))]
        assert [one for one in lines if one in fixed] == fixed


UNTOLD = {
    "inline tables": "grid = [{ setting = 'digits' }]",
    "a header in a text": "note = '''\n[[grid]]\nsetting = 'x'\n'''\n[[grid]]\nsetting = 'digits'",
    "a name over several lines": "[[grid]]\nsetting = '''\ndigits'''",
    "quoted names": '[["grid"]]\n"setting" = "digits"\n"lr" = 1',
}


@pytest.mark.parametrize("text", UNTOLD.values(), ids=UNTOLD)
def test_where_the_lines_cannot_be_told_nothing_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    reason = (
        f"plan {path}: the lines of its grids of digits cannot be told apart; write lr = 1e-2 and "
        "batch_size = 8 into them by hand"
    )
    with pytest.raises(InputError, match=f"^{re.escape(reason)}$"):
        put(path, "digits", 0.01, 8)
    assert path.read_text() == text


def test_a_file_is_replaced_or_only_tried(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(BEFORE.replace("\n", "\r\n").encode())
    before = path.read_bytes()
    assert put(path, "fashion", 5e-4, 256, save=False).grids == (1, 3)
    assert path.read_bytes() == before
    put(path, "fashion", 5e-4, 256)
    assert path.read_bytes() == AFTER.replace("\n", "\r\n").encode()
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    with pytest.raises(InputError, match=rf"^cannot write {re.escape(str(path))} \(.*\); it is as"):
        put(path, "fashion", 5e-4, 256)
