import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
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
        # At the losses of the bins, near 1, it was measured once.
        sharpness = [99.0, None, 8.0 + seed, 4.0 + seed]
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


def test_a_point_is_early_similarity_and_the_factor_at_comparable_loss(panel: pd.DataFrame) -> None:
    points = similarity_points(panel, "target", "sharpness")
    assert points["curve"].tolist() == ["helps", "hurts"]
    assert points["auxiliaries"].tolist() == ["a+b", "c"]
    # Epoch 1 is early, epoch 0 is the untrained network; "hurts" was first measured in epoch 2.
    assert points["similarity"].tolist() == pytest.approx([0.7, 0.4])
    assert points["early_checkpoints"].tolist() == [1, 0]
    assert points["value"].tolist() == [4.5, 4.5]
    assert points["measurements"].tolist() == [1, 1]
    assert points["seeds"].tolist() == [2, 2]
    # ± 2 √0.5 × the difference of the two seeds.
    half = 2 * math.sqrt(0.5)
    assert points["similarity_high"].tolist() == pytest.approx([0.7 + 0.2 * half, 0.4 + 0.2 * half])
    assert points["value_low"].tolist() == pytest.approx([4.5 - half] * 2)


def test_factors_are_read_in_the_bins_of_the_curve_with_the_highest_minimum(
    panel: pd.DataFrame, replica: Frame
) -> None:
    # Bins 18 to 20 of 20 between 3 and 1: 3^(3/20) to 1, with its centre at 3^(3/40). The deeper
    # curve was measured at 2 and at 0.5 only, and is read between these.
    deeper = replica(
        "deeper",
        0,
        [4, 3, 2, 0.5],
        [0.1] * 4,
        auxiliaries="d",
        gradient_similarity=[None, 0.5, 0.5, 0.5],
        sharpness=[None, None, 10.0, 2.0],
    )
    points = similarity_points(pd.concat([panel, deeper]), "target", "sharpness")
    points = points.set_index("curve")
    assert points["value"].tolist()[:2] == [4.5, 4.5], "as without it"
    below = math.log(2 / 3**0.075) / math.log(4)
    assert points.loc["deeper", "value"] == pytest.approx(10 - 8 * below)
    assert points["measurements"].tolist() == [1, 1, 0]


def test_similarity_throughout_training_is_that_of_all_whole_epochs(panel: pd.DataFrame) -> None:
    points = similarity_points(panel, "target", "test_metric", reading="throughout")
    helps = ((0.8 + 0.2 + 0.1) / 3 + (0.6 + 0.3 + 0.1) / 3) / 2
    hurts = ((0.3 + 0.1) / 2 + (0.5 + 0.1) / 2) / 2
    assert points["similarity"].tolist() == pytest.approx([helps, hurts])
    assert points["early_checkpoints"].tolist() == [3, 2]
    inside = panel.assign(epoch=panel["epoch"].replace({2.0: 1.5}))
    fewer = similarity_points(inside, "target", "test_metric", reading="throughout")
    assert fewer["similarity"].tolist() == pytest.approx([((0.8 + 0.1) + (0.6 + 0.1)) / 4, 0.1])


@pytest.mark.parametrize(("epochs", "points"), [(49, 0), (50, 1)])
def test_curves_too_short_for_footnote_7_have_no_point(
    replica: Frame, epochs: int, points: int
) -> None:
    count = epochs + 1
    frame = replica(
        "c",
        0,
        np.geomspace(2, 0.1, count),
        np.arange(count, dtype=float),
        auxiliaries="a",
        gradient_similarity=0.5,
        sharpness=np.arange(count, dtype=float),
    )
    found = similarity_points(frame, "target", "sharpness", footnote=True)
    assert len(found) == points
    # The last 20 of 0 … 50, and the ten best, where all have E at the best one.
    assert found["value"].tolist() == [40.5] * points
    metric = similarity_points(frame, "target", "test_metric", footnote=True)
    assert metric["value"].tolist() == [45.5] * points
    assert similarity_points(frame, "target", "test_metric")["value"].tolist() == [epochs]


def test_what_is_early_can_be_chosen(panel: pd.DataFrame) -> None:
    points = similarity_points(panel, "target", "test_metric", early_epochs=2)
    assert points["similarity"].tolist() == pytest.approx([(0.5 + 0.45) / 2, 0.4])
    assert points["early_checkpoints"].tolist() == [2, 1]
    # Validation is best in the last epoch: 0.4 and 1.4.
    assert points["value"].tolist() == pytest.approx([0.9, 0.9])


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
    # Up to epoch 1 both have similarity ("helps") and a test metric of 0.2, but no sharpness.
    behind = panel[~second | (panel["step"] <= 10)]
    assert similarity_points(behind, "target", "sharpness").empty
    points = similarity_points(behind, "target", "test_metric")
    assert points[["curve", "similarity", "value"]].to_numpy().tolist() == [
        ["helps", pytest.approx(0.7), pytest.approx(0.2)]
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


def test_the_interval_is_fishers() -> None:
    x, noise = np.random.default_rng(1).normal(size=(2, 30))
    result = found(correlate(x, x + noise))
    expected = stats.pearsonr(x, x + noise).confidence_interval(0.95)
    assert (result.ci_low, result.ci_high) == pytest.approx(tuple(expected))
    assert result.ci_low < result.pearson_r < result.ci_high


def test_the_interval_by_hand() -> None:
    # Deviations (−2, −1, 0, 1, 2) and (−2, 0, 1, −1, 2): r = 7 / 10, of 5 points. artanh .7 is
    # .8673, ± 1.96 / √2 = 1.3859; tanh of −.5186 and of 2.2532 are −.4767 and .9782.
    result = found(correlate([1, 2, 3, 4, 5], [1, 3, 4, 2, 5]))
    assert result.pearson_r == pytest.approx(0.7)
    assert (result.ci_low, result.ci_high) == pytest.approx((-0.4767, 0.9782), abs=1e-4)


def test_neither_three_points_nor_an_exact_line_have_an_interval() -> None:
    """One without width would claim certainty, however few the points."""
    assert math.isnan(found(correlate([1, 2, 3], [1, 2, 4])).ci_low)
    line = found(correlate(np.arange(8.0), -np.arange(8.0)))
    assert line.pearson_r == pytest.approx(-1)
    assert math.isnan(line.ci_low)
    assert math.isnan(line.ci_high)
    lone = found(correlate(np.arange(20.0), [0.0] * 19 + [1.0]))
    assert -1 <= lone.ci_low <= lone.ci_high <= 1


def partial(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """The textbook's first-order partial correlation."""
    r = np.corrcoef([x, y, z])
    xy, xz, yz = r[0, 1], r[0, 2], r[1, 2]
    return float((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)))


@pytest.mark.parametrize("count", [5, 8, 20, 60])
def test_what_is_held_fixed_leaves_the_partial_correlation(count: int) -> None:
    x, y, z = np.random.default_rng(count).normal(size=(3, count))
    x, y = x + z, y - 0.5 * z + 0.3 * x
    result = found(correlate(x, y, given=z))
    r = partial(x, y, z)
    assert result.pearson_r == pytest.approx(r)
    assert (result.n, result.held) == (count, 1)
    # t = r √((n − 3) / (1 − r²)) with n − 3 degrees of freedom, and z with SD 1 / √(n − 4).
    t = r * math.sqrt((count - 3) / (1 - r * r))
    assert result.pearson_p == pytest.approx(2 * stats.t.sf(abs(t), count - 3))
    reach = stats.norm.ppf(0.975) / math.sqrt(count - 4)
    ends = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    assert (result.ci_low, result.ci_high) == pytest.approx(ends)
    ranks = partial(*(stats.rankdata(each) for each in (x, y, z)))
    assert result.spearman_rho == pytest.approx(ranks)
    # Which of the two is regressed on what does not matter, nor the unit of what is held.
    assert found(correlate(y, x, given=1e3 * z - 7)).pearson_r == pytest.approx(r)


def test_sets_of_unlike_size_correlate_by_their_size_alone() -> None:
    """The cosine to a sum of K gradients is about 1/√K: with K fixed, nothing is left."""
    generator = np.random.default_rng(0)
    tasks = np.repeat([2, 5, 10, 20], 6).astype(float)
    root = 1 / np.sqrt(tasks)
    similarity = root + 0.01 * generator.normal(size=24)
    value = 3 * root + 0.1 * generator.normal(size=24)
    alone = found(correlate(similarity, value))
    held = found(correlate(similarity, value, given=root))
    assert alone.pearson_r > 0.95
    assert alone.pearson_p < 1e-9
    assert abs(held.pearson_r) < 0.3
    assert held.pearson_p > 0.05
    assert held.ci_low < 0 < held.ci_high
    # What has to do with the similarity itself is still found.
    real = found(correlate(similarity, value + 30 * (similarity - root), given=root))
    assert real.pearson_r > 0.8


def test_what_is_constant_holds_nothing() -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 12))
    assert correlate(x, y, given=np.full(12, 2.0)) == correlate(x, y)
    assert correlate(x[:3], y[:3], given=np.full(3, 2.0)) == correlate(x[:3], y[:3])


def test_nothing_is_left_of_what_is_held() -> None:
    x, y = np.random.default_rng(7).normal(size=(2, 12))
    assert correlate(x, y, given=x) is None
    assert correlate(x, y, given=2 * y - 1) is None
    assert correlate(x[:3], y[:3], given=[1.0, 2.0, 4.0]) is None
    gap = [*np.arange(11.0), math.nan]
    result = found(correlate(x, y, given=gap))
    assert (result.n, result.pearson_r) == (
        11,
        pytest.approx(partial(x[:-1], y[:-1], np.arange(11))),
    )
    with pytest.raises(ValueError, match="one length"):
        correlate(x, y, given=[1.0])


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
    assert other.permutation_p != result.permutation_p, "other draws"
    assert replace(other, permutation_p=result.permutation_p) == result


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-170, 1e-30, 1e30, 1e170, 1e307])
def test_the_scale_of_a_quantity_does_not_matter(scale: float) -> None:
    for count in (3, 9):
        steps = np.arange(1.0, count + 1)
        straight = found(correlate(scale * steps, steps))
        assert (straight.pearson_r, straight.spearman_rho) == pytest.approx((1, 1))
        assert straight.permutation_p == found(correlate(steps, steps)).permutation_p
        assert math.isnan(straight.ci_low)
        assert math.isnan(straight.ci_high)


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
