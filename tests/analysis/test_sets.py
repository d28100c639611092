"""What similarity goes with over auxiliary sets, with their number of tasks held fixed."""

import math

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import (
    conflict_verdict,
    correlate,
    correlate_sets,
    similarity_points,
    spans_decades,
)

SIZES = np.repeat([2, 5, 10, 20], 25)


def points(**changes: object) -> pd.DataFrame:
    """100 sets of 2 to 20 tasks; similarity is 1/√K up to noise, the value depends on K alone."""
    random = np.random.default_rng(1)
    table = {
        "similarity": SIZES**-0.5 + 0.02 * random.standard_normal(SIZES.size),
        "value": 1 + SIZES**-0.5 + 0.05 * random.standard_normal(SIZES.size),
        "tasks": SIZES,
        "plain": True,
        "similarity_error": 0.005,
        "measurements": 3,
    }
    return pd.DataFrame(table | changes)


def test_what_goes_with_the_number_of_tasks_alone_is_no_correlation_given_it() -> None:
    found = correlate_sets(points())
    assert found.by_size is not None
    assert found.by_size > 0.99
    assert found.paper is not None
    assert found.paper.pearson_r > 0.9
    assert found.decides is not None
    assert abs(found.decides.pearson_r) < 0.2
    assert found.decides.ci_low < 0 < found.decides.ci_high
    assert found.decides.held == 1
    assert (found.tasks, found.measurements) == ((2, 5, 10, 20), 3)


def test_what_goes_with_conflict_is_found_given_the_number_of_tasks() -> None:
    table = points()
    conflict = table["similarity"] - SIZES**-0.5
    found = correlate_sets(table.assign(value=5 - conflict + SIZES**-0.5))
    assert found.decides is not None
    assert found.decides.pearson_r < -0.99


def test_sets_of_one_size_decide_alone_and_the_paper_takes_all() -> None:
    table = points()
    own = table[table["tasks"] == 5]
    found = correlate_sets(table, size=5)
    assert found.decides == correlate(own["similarity"], own["value"])
    assert found.paper == correlate_sets(table).paper
    assert found.tasks == (5,)
    one_size = correlate_sets(own)
    assert one_size.decides == one_size.paper
    assert one_size.by_size is None
    assert correlate_sets(table, size=3).decides is None


@pytest.mark.parametrize("log", [False, True])
def test_values_over_a_decade_are_correlated_by_their_logarithms(log: bool) -> None:
    table = points(tasks=5)
    values = 10 ** ((2 if log else 0.5) * table["value"])
    found = correlate_sets(table.assign(value=values))
    plain = correlate(table["similarity"], values)
    logs = correlate(table["similarity"], np.log10(values))
    assert found.logarithms is log is spans_decades(values)
    assert (found.decides, found.other) == ((logs, plain) if log else (plain, logs))
    assert found.paper == plain, "of the values as they are"


def test_only_positive_values_have_logarithms() -> None:
    found = correlate_sets(points(value=np.linspace(-1, 100, SIZES.size)))
    assert (found.logarithms, found.other) == (False, None)
    assert not spans_decades([0.0, 100.0])
    assert not spans_decades([])


def test_points_of_other_optimizers_do_not_decide() -> None:
    table = points()
    others = table.assign(plain=False, value=-100 * table["similarity"])
    found = correlate_sets(pd.concat([table, others]))
    assert found.decides == correlate_sets(table).decides
    assert found.paper is not None
    assert found.paper.n == 200


def test_noise_of_similarity_is_told_from_what_sets_differ_by() -> None:
    """Given K, similarity has a standard deviation of about .02 here."""
    sure, half, noise = (
        correlate_sets(points(similarity_error=error)).reliability for error in (0, 0.012, 0.03)
    )
    assert sure == 1
    assert half == pytest.approx(0.5, abs=0.1)
    assert noise == 0
    assert math.isnan(correlate_sets(points(similarity_error=math.nan)).reliability)


def test_noise_alone_does_not_agree_that_there_is_no_correlation() -> None:
    """Similarity that is noise goes with nothing, whatever conflict does."""
    table = points(tasks=5, similarity=np.random.default_rng(2).normal(size=SIZES.size))
    found = correlate_sets(table).decides
    assert found is not None
    assert max(-found.ci_low, found.ci_high) < 0.3
    pair = ("a", "test_metric")
    said = {
        share: conflict_verdict({pair: found}, {"a": 100}, reliability={pair: share}).generalization
        for share in (1.0, 0.0, math.nan)
    }
    assert list(said.values()) == ["agree", "cannot tell", "cannot tell"]


@pytest.mark.parametrize("own", [0.0, 0.03])
def test_the_error_of_similarity_leaves_out_what_seeds_share(own: float) -> None:
    """Seeds that move all curves alike make no noise between curves."""
    rows = pd.DataFrame(
        {
            "curve": f"+ {place}",
            "auxiliaries": f"{place}",
            "task": "a",
            "seed": seed,
            "step": 10 * epoch,
            "epoch": float(epoch),
            "train_loss": 1.0 / epoch,
            "val_metric": 0.5,
            "test_metric": 0.5,
            "gradient_similarity": 0.1 * place + 0.05 * seed + own * (place == seed),
        }
        for place in range(3)
        for seed in range(3)
        for epoch in (1, 2)
    )
    found = similarity_points(rows, "a", "test_metric")
    # Residuals of a diagonal of ones: 2/3 on it and -1/3 off it, over 4 degrees of freedom.
    expected = own * math.sqrt(2 / 4 / 3)
    assert found["similarity_error"].tolist() == pytest.approx([expected] * 3, abs=1e-12)
    assert (found["similarity_high"] - found["similarity"] > 0.06).all()


def test_without_points_there_is_nothing() -> None:
    found = correlate_sets(points().iloc[:0])
    assert (found.paper, found.decides, found.other, found.tasks) == (None, None, None, ())
    assert (found.by_size, found.measurements) == (None, 0)
