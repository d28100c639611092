import math
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtl_core.analysis import Correlation, correlate, similarity_points

Frame = Callable[..., pd.DataFrame]


def found(result: Correlation | None) -> Correlation:
    assert result is not None
    return result


@pytest.fixture
def panel(replica: Frame) -> pd.DataFrame:
    """Two auxiliary sets and single-task training, two seeds each."""

    def of(curve: str, auxiliaries: str, seed: int, similarity: list[float | None]) -> pd.DataFrame:
        sharpness = [8.0 + seed, None, 4.0 + seed, None]
        return replica(
            curve,
            seed,
            [4, 3, 2, 1],
            [0.1, 0.2, 0.3, 0.4 + seed],
            auxiliaries=auxiliaries,
            gradient_similarity=similarity,
            sharpness=sharpness,
        )

    return pd.concat(
        [
            of("single", "stl", 0, [1.0, 1.0, 1.0, 1.0]),
            of("helps", "a+b", 0, [0.0, 0.8, 0.2, 0.1]),
            of("helps", "a+b", 1, [0.0, 0.6, 0.3, 0.1]),
            of("hurts", "c", 0, [0.0, None, 0.3, 0.1]),
            of("hurts", "c", 1, [0.0, None, 0.5, 0.1]),
        ]
    )


def test_a_point_is_early_similarity_and_the_aggregate_over_seeds(panel: pd.DataFrame) -> None:
    points = similarity_points(panel, "target", "sharpness")
    assert points["curve"].tolist() == ["helps", "hurts"]
    assert points["auxiliaries"].tolist() == ["a+b", "c"]
    # Epoch 1 is early, epoch 0 is the untrained network; "hurts" was first measured in epoch 2.
    assert points["similarity"].tolist() == pytest.approx([0.7, 0.4])
    assert points["early_checkpoints"].tolist() == [1, 0]
    assert points["value"].tolist() == [6.5, 6.5]
    assert points["seeds"].tolist() == [2, 2]
    # ± 2 √0.5 × the difference of the two seeds.
    half = 2 * math.sqrt(0.5)
    assert points["similarity_high"].tolist() == pytest.approx([0.7 + 0.2 * half, 0.4 + 0.2 * half])
    assert points["value_low"].tolist() == pytest.approx([6.5 - half] * 2)


def test_what_is_early_can_be_chosen(panel: pd.DataFrame) -> None:
    points = similarity_points(panel, "target", "test_metric", early_epochs=2)
    assert points["similarity"].tolist() == pytest.approx([(0.5 + 0.45) / 2, 0.4])
    assert points["early_checkpoints"].tolist() == [2, 1]
    # All four checkpoints are among the 10 best: 0.25, and 1.25 − 0.75 for the second seed.
    assert points["value"].tolist() == pytest.approx([0.375, 0.375])


def test_a_tenth_of_the_epochs_is_early(replica: Frame) -> None:
    count = 31  # epochs 0 to 30: early up to 3
    similarity = [100.0, 1.0, 2.0, 6.0, *[50.0] * 27]
    frame = replica(
        "c",
        0,
        np.geomspace(2, 0.1, count),
        [0.5] * count,
        auxiliaries="a",
        gradient_similarity=similarity,
    )
    (point,) = similarity_points(frame, "target", "test_metric").to_dict("records")
    assert (point["similarity"], point["early_checkpoints"]) == (3.0, 3)
    assert point["similarity_low"] == point["similarity_high"] == 3.0  # one seed: no width


def test_curves_that_lack_a_quantity_are_no_points(panel: pd.DataFrame) -> None:
    frame = panel.copy()
    frame.loc[(frame["curve"] == "helps") & (frame["seed"] == 1), "gradient_similarity"] = None
    assert similarity_points(frame, "target", "sharpness")["curve"].tolist() == ["hurts"]
    frame.loc[frame["curve"] == "hurts", "sharpness"] = None
    empty = similarity_points(frame, "target", "sharpness")
    assert empty.empty
    assert (
        empty.columns.tolist() == similarity_points(panel, "target", "sharpness").columns.tolist()
    )
    assert similarity_points(pd.DataFrame(), "target", "sharpness").empty
    assert similarity_points(panel, "another task", "sharpness").empty


def test_a_live_curve_waits_for_its_slowest_seed(panel: pd.DataFrame) -> None:
    second = panel["seed"] == 1
    untrained = panel[~second | (panel["step"] == 0)]
    assert similarity_points(untrained, "target", "sharpness").empty
    # Up to epoch 1 both have similarity ("helps") and sharpness at step 0 alone.
    behind = panel[~second | (panel["step"] <= 10)]
    points = similarity_points(behind, "target", "sharpness")
    assert points[["curve", "similarity", "value"]].to_numpy().tolist() == [
        ["helps", pytest.approx(0.7), 8.5]
    ]


def test_the_order_of_rows_does_not_matter(panel: pd.DataFrame) -> None:
    expected = similarity_points(panel, "target", "sharpness").set_index("curve")
    shuffled = similarity_points(panel.sample(frac=1, random_state=0), "target", "sharpness")
    pd.testing.assert_frame_equal(shuffled.set_index("curve").loc[expected.index], expected)


def test_coefficients_by_hand() -> None:
    # Deviations (−1, 0, 1) and (−2, 1, 1): r = 3 / √(2 × 6); ranks (1, 2, 3) and (1, 2.5, 2.5).
    result = found(correlate([1, 2, 3], [0, 3, 3]))
    assert result.pearson_r == pytest.approx(3 / math.sqrt(12))
    assert result.spearman_rho == pytest.approx(1.5 / math.sqrt(2 * 1.5))
    # t = r √((n − 2) / (1 − r²)) = √3 with one degree of freedom, a Cauchy distribution.
    assert result.pearson_p == pytest.approx(1 - 2 * math.atan(math.sqrt(3)) / math.pi)
    # Of six pairings the one found and its twin have r = 0.87, two mirrored ones −0.87, two 0.
    assert result.permutation_p == pytest.approx(4 / 6)
    assert (result.n, result.few) == (3, True)


@pytest.mark.parametrize("sample", range(4))
def test_few_points_have_the_exact_p_of_all_pairings(sample: int) -> None:
    x, y = np.random.default_rng(sample).normal(size=(2, 5))
    observed = abs(np.corrcoef(x, y)[0, 1])
    shuffled = [abs(np.corrcoef(x, y[list(order)])[0, 1]) for order in permutations(range(5))]
    expected = np.mean(np.array(shuffled) >= observed - 1e-9)
    result = found(correlate(x, y))
    assert result.permutation_p == pytest.approx(expected)
    exhaustive = stats.permutation_test(
        (x,),
        lambda shuffled: abs(stats.pearsonr(shuffled, y).statistic),
        permutation_type="pairings",
        alternative="greater",
    )
    assert result.permutation_p == pytest.approx(exhaustive.pvalue)
    assert result.permutation_p * 120 == pytest.approx(round(result.permutation_p * 120))


def test_many_points_have_a_random_p_that_is_never_zero() -> None:
    x = np.arange(10.0)
    assert found(correlate(x, 2 * x + 1)).permutation_p == 1 / 10_000
    # Of normal quantities both ps are right: 9,999 draws put them within 5 standard errors.
    noise = np.random.default_rng(3).normal(size=(2, 60))
    for signal in (0.0, 0.2, 0.35):
        result = found(correlate(noise[0], noise[1] + signal * noise[0]))
        assert result.permutation_p == pytest.approx(result.pearson_p, abs=0.025)


def test_p_is_exact_up_to_7_points_and_drawn_from_8_on() -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 8))
    assert found(correlate(x[:7], y[:7])).permutation_p * math.factorial(7) % 1 == pytest.approx(
        0, abs=1e-6
    )
    drawn = found(correlate(x, y))
    assert drawn.permutation_p * 10_000 % 1 == pytest.approx(0, abs=1e-6)
    exact = np.array([y[list(order)] for order in permutations(range(8))])
    r = np.abs(np.corrcoef(x, y)[0, 1])
    centred = exact - y.mean()
    all_r = centred @ (x - x.mean()) / (np.linalg.norm(x - x.mean()) * np.linalg.norm(y - y.mean()))
    assert drawn.permutation_p == pytest.approx(np.mean(np.abs(all_r) >= r - 1e-9), abs=0.025)


def test_the_interval_is_the_percentile_bootstrap() -> None:
    x, noise = np.random.default_rng(1).normal(size=(2, 30))
    y = x + noise
    result = found(correlate(x, y))
    expected = stats.bootstrap(
        (x, y),
        lambda a, b, axis: stats.pearsonr(a, b, axis=axis).statistic,
        paired=True,
        n_resamples=9_999,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert (result.ci_low, result.ci_high) == pytest.approx(tuple(expected), abs=0.04)
    assert result.ci_low < result.pearson_r < result.ci_high


def test_resamples_in_which_a_quantity_is_constant_are_left_out() -> None:
    # Two thirds of the resamples of three points leave two or three of them; the rest is one.
    result = found(correlate([1, 2, 3], [1, 2, 3]))
    assert (result.ci_low, result.ci_high) == pytest.approx((1, 1))
    lone = found(correlate(np.arange(20.0), [0.0] * 19 + [1.0]))
    assert -1 <= lone.ci_low <= lone.ci_high <= 1


def test_what_leaves_a_correlation_as_it_is() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 12))
    result = found(correlate(x, y))
    order = np.random.default_rng(3).permutation(12)
    assert correlate(x[order], y[order]) == result
    assert correlate(x, y) == result  # the same draws
    with_gaps = correlate([*x, math.nan, 0.0], [*y, 1.0, math.inf])
    assert with_gaps == result
    scaled = found(correlate(1e-9 * x + 5e-9, 1e6 * y))
    assert scaled.pearson_r == pytest.approx(result.pearson_r)
    assert scaled.permutation_p == result.permutation_p
    assert (scaled.ci_low, scaled.ci_high) == pytest.approx((result.ci_low, result.ci_high))
    mirrored = found(correlate(x, -y))
    assert mirrored.pearson_r == pytest.approx(-result.pearson_r)
    assert mirrored.spearman_rho == pytest.approx(-result.spearman_rho)
    other = found(correlate(x, y, seed=1))
    assert other.pearson_r == result.pearson_r
    assert (other.ci_low, other.ci_high) != (result.ci_low, result.ci_high)


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-170, 1e-30, 1e30, 1e170, 1e307])
def test_the_scale_of_a_quantity_does_not_matter(scale: float) -> None:
    for count in (3, 9):
        steps = np.arange(1.0, count + 1)
        straight = found(correlate(scale * steps, steps))
        assert straight.pearson_r == straight.spearman_rho == 1
        assert straight.permutation_p == found(correlate(steps, steps)).permutation_p
        assert (straight.ci_low, straight.ci_high) == (pytest.approx(1), pytest.approx(1))


def test_both_signs_of_the_largest_numbers_have_a_span() -> None:
    x = [-1.7e308, 0.0, 1.7e308, 1e308]
    assert found(correlate(x, [1, 2, 3, 2])).pearson_r == pytest.approx(
        found(correlate([-1.7, 0, 1.7, 1], [1, 2, 3, 2])).pearson_r, rel=1e-12
    )


def test_eight_points_are_no_longer_few() -> None:
    x, y = np.random.default_rng(4).normal(size=(2, 8))
    assert found(correlate(x[:7], y[:7])).few
    assert not found(correlate(x, y)).few


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        ([0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 3.0]),  # equal but for rounding
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]),
    ],
)
def test_nothing_to_correlate_is_none(x: list[float], y: list[float]) -> None:
    assert correlate(x, y) is None


def test_quantities_must_pair_up() -> None:
    with pytest.raises(ValueError, match=r"not of shapes \(3,\) and \(2,\)"):
        correlate([1, 2, 3], [1, 2])


def test_scipy_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, mtl_core.analysis; print('scipy' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
