"""The parser: one line for what cannot be done, and no traceback for anybody."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.cli.asking import ROOT, complaint, python_m


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "the following arguments are required: COMMAND; see `python -m mtl_core --help`"),
        (["fly"], "argument COMMAND: invalid choice: 'fly'"),
        (["run", "--out", "x"], "the following arguments are required: --setting; see "),
        (["run", "--setting", "digits"], "the following arguments are required: --out; see "),
        (["front", "--out", "x"], "the following arguments are required: --problem; see "),
        (["front", "--problem", "toy"], "the following arguments are required: --out; see "),
        (["list"], "the following arguments are required: what"),
        (["list", "papers"], "argument what: invalid choice: 'papers'"),
        (["download", "imagenet"], "unknown data set 'imagenet'; one of: fashion_mnist"),
        (["precompute", "nowhere.toml"], "cannot read plan nowhere.toml (No such file"),
        (["precompute", "x", "--backend", "carrier-pigeon"], "argument --backend: invalid choice"),
        (["precompute", "x", "--jobs", "0"], "jobs 0 must be at least 1"),
        (
            ["precompute", str(ROOT / "plans" / "overview.toml"), "--scheduler", "a:1"],
            "scheduler 'a:1' is for the backends dask and ray; loky's processes are on this",
        ),
        (["export", "--out", "x"], "the following arguments are required: ID"),
        (["doctor", "two\nlines"], "unrecognized arguments: two lines"),
    ],
)
def test_a_bad_command_costs_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert complaint(arguments, capsys).startswith(reason)


def test_no_traceback_reaches_a_user() -> None:
    for arguments, code in [
        (["run", "--setting", "marsian", "--out", "x"], 2),
        (["nonsense"], 2),
        (["run", "--help"], 0),
        (["front", "--help"], 0),
    ]:
        done = python_m(*arguments)
        assert done.returncode == code
        assert len(done.stderr.splitlines()) == (code == 2)
        assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m mtl_core list settings | true",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
