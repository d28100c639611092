"""The problems that there are, and what holds for each that is made of data."""

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
