"""What the tests of the command line share: small requests, what they ask for, what went wrong."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mtl_core.cli import main
from mtl_core.cli.run import add_arguments
from mtl_core.runs.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
RUN = shlex.split(
    "run --setting digits --preset quick --aux digits2 --seeds 0 --epochs 1 --batch-size 16 "
    "--samples 64 --held-out 50 --width 4 --device cpu"
)
FRONT = shlex.split(
    "front --problem toy --preset quick --iterations 40 --frames 4 --solutions 5 --seeds 0 1"
)
SMALL = {"training": RUN, "front": FRONT}


def config_of(words: Sequence[str]) -> Any:
    """The experiment that a command line asks for, from the command's name on."""
    command, *rest = words
    (kind,) = (kind for kind in KINDS.values() if kind.command.name == command)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(kind, parser)
    rest = rest if "--out" in rest else [*rest, "--out", "x"]
    return kind.command.config(parser.parse_args(rest))


def complaint(words: Sequence[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line on standard error of a command that fails."""
    assert main(list(words)) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert captured.out == "" or code == 1
    return line.removeprefix("error: ")


def python_m(*words: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mtl_core", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
