"""True fronts, of problems where they are known."""

from typing import Any

import numpy as np
import streamlit as st

from mtl_core.pareto import ParetoConfig, measures, problems

__all__ = ["hypervolume", "true_front"]

DENSE = {2: 50_000, 3: 10_000}  # points of a true front of so many objectives, for its hypervolume


@st.cache_data(max_entries=20, show_spinner=False)
def _true_front_of(problem: str, options: tuple[tuple[str, Any], ...], points: int) -> np.ndarray:
    known = problems.get(problem).given(dict(options)).front
    assert known is not None
    return np.asarray(known(points))


def true_front(config: ParetoConfig, points: int = 200) -> np.ndarray:
    """(points, K) of it, in losses."""
    return _true_front_of(config.problem, config.problem_options, points)


@st.cache_data(max_entries=20, show_spinner=False)
def _hypervolume_of(problem: str, options: tuple[tuple[str, Any], ...]) -> float:
    found = problems.get(problem).given(dict(options))
    assert found.front is not None
    return float(
        measures.hypervolume(
            found.front(DENSE[len(found.objectives)]), found.reference, found.ideal
        )
    )


def hypervolume(config: ParetoConfig) -> float:
    """Of a dense true front."""
    return _hypervolume_of(config.problem, config.problem_options)
