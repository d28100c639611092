"""The problems that there are, and what holds for each that is made of data."""

import subprocess
import sys
from pathlib import Path

import pytest

from mtl_core.pareto import problems

WITH_DATA = [name for name in problems.names() if problems.get(name).fingerprint is not None]


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_problem_is_consistent(name: str) -> None:
    problem = problems.get(name)
    assert problem.name == name
    assert {"quick", "standard", "paper"} == set(problem.presets)
    for preset in problem.presets:
        budget = problem.preset(preset)
        assert budget.iterations >= budget.frames >= 2
        assert budget.solutions >= 2
        assert budget.lr > 0
    assert len(problem.reference) == len(problem.objectives)
    assert all(bound > 0 for bound in problem.reference)


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_problem_without_defining_options_is_itself(name: str) -> None:
    problem = problems.get(name)
    if problem.defined is None:
        assert problem.given({}) is problem
        assert problem.objectives


def test_knowing_the_problems_is_cheap() -> None:
    """No network is built and no library of networks or tables loaded before a problem is."""
    code = (
        "from mtl_core.pareto import problems\n"
        "for name in problems.names():\n"
        "    problems.get(name).data_state()\n"
        "problems.get('csv').given({'targets': 'a,b'})\n"
        "problems.get('linnerud').fingerprint({})\n"
        "import sys\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "mtl_core" in loaded
    assert not loaded & {"torch", "torchvision", "sklearn", "pandas", "PIL", "streamlit", "altair"}
