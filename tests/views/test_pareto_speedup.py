"""What of a transfer's speed-up is left beside an averaged start: numbers and words."""

import numpy as np
import pytest
from scipy import stats

from mtl_core.views.pareto_speedup import Pace, SpeedUp


def speed_up(waiting: bool = False, **counts: list[float]) -> SpeedUp:
    """Of paces named ``method`` or ``method_shared``."""
    paces = []
    for name, found in counts.items():
        method, _, start = name.partition("_")
        paces.append(Pace(method, start or "own", np.array(found, dtype=float)))
    return SpeedUp(0.3, tuple(paces), 200, waiting)


ALONE = [5000.0, 5200.0, 4800.0]
MEAN = [700.0, 800.0, 600.0]


def test_a_lead_is_the_paired_t_interval_over_the_same_seeds() -> None:
    found = speed_up(independent=ALONE, averaged=MEAN, decay=[900, 940, 860])
    (lead,) = found.leads
    interval = stats.ttest_rel([900, 940, 860], MEAN).confidence_interval(0.95)
    assert lead.ratio == pytest.approx(900 / 700)
    assert lead.difference == pytest.approx(200)
    assert (lead.low, lead.high) == pytest.approx(tuple(interval))
    both = speed_up(independent=ALONE, averaged=MEAN, decay=[900, 940, 860], adaptive=[1, 2, 3])
    wider = stats.ttest_rel([900, 940, 860], MEAN).confidence_interval(0.975)
    assert (both.leads[0].low, both.leads[0].high) == pytest.approx(tuple(wider))
    assert found.ratio(found.paces[2], "independent") == pytest.approx(900 / 5000)


def test_a_transfer_from_a_shared_start_is_held_against_independent() -> None:
    found = speed_up(independent_shared=ALONE, averaged_shared=ALONE, decay_shared=MEAN)
    (lead,) = found.leads
    assert (lead.control.method, lead.verdict) == ("independent", "sooner")
    assert found.words[1].startswith(
        "From one start for all solutions of a seed, where there is nothing to average, "
        "Independent takes **5,000** gradient evaluations. Decaying takes **700**, 0.14 times as "
        "many as Independent, a lead that is transfer's own: the difference is -4,300 ("
    )


@pytest.mark.parametrize(
    ("decay", "verdict", "words"),
    [
        ([900, 1020, 810], "later", "so none of its speed-up over Independent is left beside that"),
        ([900, 1000, 800], "cannot tell", "+200 on every seed, which are too few"),
        ([5900, 6000, 5700], "later", "times as many as the averaged start, so no quicker: the"),
        ([300, 420, 190], "sooner", "a lead that is transfer's own: the difference is -"),
        ([700, 900, 550], "cannot tell", "the runs here cannot tell whether that is a difference"),
        ([700, np.nan, 550], "not reached", "cannot be held against the averaged start: not both"),
    ],
)
def test_words_follow_the_numbers(decay: list[float], verdict: str, words: str) -> None:
    found = speed_up(independent=ALONE, averaged=MEAN, decay=decay)
    assert found.leads[0].verdict == verdict
    assert found.words[:3] == (
        "To 90% of the true front's hypervolume, means of 3 seeds:",
        "Independent takes **5,000** gradient evaluations from random starts.",
        "Averaging the starts once and never transferring again takes **700** gradient "
        "evaluations, 0.14 of that.",
    )
    assert len(found.words) == 4
    assert words in found.words[3]


def test_one_seed_cannot_tell() -> None:
    found = speed_up(independent=[5000], averaged=[700], decay=[900])
    assert found.leads[0].verdict == "cannot tell"
    assert found.words[-1].endswith("; one seed cannot tell whether that is a difference.")


def test_what_is_missing_is_said() -> None:
    assert "Add the method Averaged start" in speed_up(independent=ALONE, decay=MEAN).words[-1]
    waiting = speed_up(waiting=True, independent=ALONE, decay=MEAN)
    assert "is known when Averaged start is done" in waiting.words[-1]
    assert len(speed_up(independent=ALONE).words) == 2
    never = [np.nan] * 3
    found = speed_up(independent=never, averaged=never, decay=never)
    assert found.words == ("No front here gets to 90% of the true front's hypervolume.",)
    some = speed_up(independent=[5000, np.nan, 4800], averaged=MEAN)
    assert "Independent gets there on 2 of 3 seeds from random starts." in some.words
    assert "0.14 of that" not in " ".join(some.words)


@pytest.mark.parametrize("seeds", [3, 10])
def test_pages_of_equal_methods_claim_a_difference_in_one_of_twenty(seeds: int) -> None:
    """Three transfers that are as good as their control, with starts that they share; .015 is three
    standard errors of 2,000 pages."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(2_000):
        start = random.normal(0, 100, seeds)
        counts = {
            name: (800 + start + random.normal(0, 60, seeds)).tolist()
            for name in ("averaged", "constant", "decay", "adaptive")
        }
        leads = speed_up(**counts).leads
        assert len(leads) == 3
        wrong += any(lead.verdict in ("sooner", "later") for lead in leads)
    assert wrong / 2_000 <= 0.05 + 0.015
