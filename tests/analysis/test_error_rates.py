"""How often each rule says something that is not so: at most in 5 % of all pages.

Each test draws many pages of the size that the app has, on which nothing is true that a rule could
say, or the opposite of it is, with normal noise and fixed seeds, and counts the pages on which it
is said all the same. A rate that is 5 % shows as one above it in half of all simulations, so
``at_most`` allows three binomial standard errors of the simulation: what passes by chance is 1 in
700, and what holds exactly fails as rarely. ``benchmarks/verdicts.py`` prints these rates beside
the power.
"""

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import special

from mtl_core.analysis import (
    LEVEL,
    SMTO_FACTORS,
    TABLE_FACTORS,
    Case,
    Comparison,
    all_of,
    beginning,
    compare,
    conflict_verdict,
    correlate,
    correlation,
    early_verdict,
    factor_support,
    factor_verdicts,
    far_verdict,
    gap_case,
    holm,
    judged,
    judged_cases,
    judged_smtos,
    most_of,
    mostly_small,
    transfer,
)
from mtl_core.analysis.intervals import welch
from mtl_core.analysis.smto import SmtoCase
from mtl_core.views.panel import Panel, Shown
from tests.analysis.simulated import looks, none, opens, trained

Array = npt.NDArray[np.float64]


def at_most(hits: Iterable[bool], level: float = LEVEL) -> float:
    """The rate; fails where it is more than three standard errors above the level."""
    said = np.fromiter(hits, dtype=bool)
    error = (level * (1 - level) / said.size) ** 0.5
    assert said.mean() <= level + 3 * error, f"{said.mean():.1%} of {said.size}"
    return float(said.mean())


def against(ours: Array, theirs: Array, **options: Any) -> Comparison:
    """Seed by seed."""
    seeds = range(len(ours))
    return compare(ours, theirs, seeds=seeds, baseline_seeds=seeds, **options)


# One comparison, and several on a page.


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("grain", [0.0, 0.5, 2.0])
def test_a_paired_difference(seeds: int, grain: float) -> None:
    """Curves whose seeds have most of their noise in common; metrics that count few examples.

    ``grain`` is the step of the metric, in SDs of the difference.
    """
    generator = np.random.default_rng(seeds)
    shared = generator.normal(size=(1_000, 1, seeds))
    own = 0.5 * generator.normal(size=(1_000, 2, seeds))
    values = shared + own
    if grain:
        step = grain * 0.5 * 2**0.5
        values = step * np.round(values / step)
    at_most(against(*sides).significant for sides in values)


@pytest.mark.parametrize(("seeds", "others"), [(2, 2), (2, 3), (2, 10), (3, 3), (3, 10), (10, 10)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 2.0, 10.0])
def test_an_unpaired_difference(seeds: int, others: int, ratio: float) -> None:
    """Whatever the sides' sizes and spreads."""
    generator = np.random.default_rng(10 * seeds + others)
    ours = ratio * generator.normal(size=(1_500, seeds))
    theirs = generator.normal(size=(1_500, others))
    at_most(welch(*sides).p < LEVEL for sides in zip(ours, theirs, strict=True))


def p_values(differences: Array) -> Array:
    """Two-sided, of paired t tests over the last axis: ``compare``'s, for many at once."""
    n = differences.shape[-1]
    t = differences.mean(axis=-1) / (differences.std(axis=-1, ddof=1) / n**0.5)
    p: Array = 2 * special.stdtr(n - 1, -np.abs(t))
    return p


def test_many_p_values_at_once_are_those_of_comparisons() -> None:
    ours, theirs = np.random.default_rng(0).normal(size=(2, 20, 4))
    found = [against(*sides) for sides in zip(ours, theirs, strict=True)]
    p = p_values(ours - theirs)
    assert p == pytest.approx([one.p for one in found])
    assert holm(p.tolist()) == pytest.approx([one.p for one in judged(found)])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_a_page_of_several_curves_against_one_baseline(count: int, seeds: int) -> None:
    generator = np.random.default_rng(100 * count + seeds)
    baseline = generator.normal(size=(1_500, 1, seeds))
    p = p_values(generator.normal(size=(1_500, count, seeds)) - baseline)
    at_most(min(holm(each)) < LEVEL for each in p.tolist())


def test_a_page_on_which_some_are_true() -> None:
    """The others still are said in 5 % at most: Holm's correction holds with any true ones."""
    generator = np.random.default_rng(1)

    def page() -> bool:
        baseline, *curves = generator.normal(size=(7, 3))
        real = [curve + 100 for curve in curves[:3]]
        found = judged([against(curve, baseline) for curve in (*real, *curves[3:])])
        assert all(one.significant for one in found[:1])
        return any(one.significant for one in found[3:])

    at_most(page() for _ in range(400))


# Looking while runs go on, and adding seeds.


def states(**of: str) -> Panel:
    """A panel of two curves of three seeds whose runs are in these states."""

    def shown(label: str) -> Shown:
        answer: Any = SimpleNamespace(states=lambda: dict.fromkeys(range(3), of[label]))
        return Shown(label, answer, pinned=False)

    return Panel((shown("stl"), shown("mtl")), (), pd.DataFrame())


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_a_page_that_is_watched_while_runs_go_on(seeds: int) -> None:
    """50 looks and the final one: a verdict is said when all runs are done, and never before.

    Whoever stops the runs when a difference looks right is told nothing: in half of all pages one
    of the looks would have been significant at three seeds.
    """
    p = p_values(looks(np.random.default_rng(seeds), 3_000, seeds)) < LEVEL
    running, done = states(stl="done", mtl="running"), states(stl="done", mtl="done")
    stopped, queued = states(stl="done", mtl="stopped"), states(stl="queued", mtl="done")
    quiet = [running.so_far(running.shown[1]) for _ in range(49)]
    quiet.append(done.so_far(done.shown[1]))
    assert quiet == [True] * 49 + [False]
    said = p & ~np.array(quiet)
    at_most(said.any(axis=1))
    assert p.any(axis=1).mean() > 2 * LEVEL, "what 50 verdicts would do"
    for panel in (stopped, queued):
        assert panel.so_far(panel.shown[1])


def test_adding_seeds_after_a_look_is_not_covered() -> None:
    """Honest about what is not promised: three looks, at 3, 5 and 10 seeds, are three tests.

    Each is right by itself. Whoever adds seeds until a verdict comes has one in about 11 % of all
    questions without a difference, at most in the sum of the three.
    """
    differences = np.random.default_rng(3).normal(size=(20_000, 10))
    said = np.stack([p_values(differences[:, :n]) < LEVEL for n in (3, 5, 10)])
    for each in said:
        at_most(each)
    at_most(said.any(axis=0), 3 * LEVEL)


# Trajectories.


NOWHERE = pd.DataFrame()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_transfer_of_trajectories(seeds: int) -> None:
    """Also where each run is read at its own best validation epoch."""
    generator = np.random.default_rng(seeds)

    def said() -> bool:
        found = transfer(NOWHERE, trained(generator, seeds, none))
        return found is not None and found.significant

    at_most(said() for _ in range(200))


@pytest.mark.parametrize(
    ("seeds", "at", "points"), [(3, 0.09, 3.0), (3, 0.03, -20.0), (5, 0.09, -2.0), (10, 0.07, 3.0)]
)
def test_a_gap_that_opens_late_is_not_said_to_open_early(
    seeds: int, at: float, points: float
) -> None:
    """An onset is known to the distance of two checkpoints: between them, gaps are interpolated.

    A gap of 20 points at .09, right behind the last checkpoint above .1, would reach above it.
    """
    generator = np.random.default_rng(seeds)

    def early() -> bool:
        return gap_case(NOWHERE, trained(generator, seeds, opens(at, points))).early

    at_most(early() for _ in range(200))


def page(
    generator: np.random.Generator, seeds: int, gaps: Sequence[Callable[[Array], Array]]
) -> str:
    """What a page of these cases says of the claim."""
    cases = [gap_case(NOWHERE, trained(generator, seeds, gap)) for gap in gaps]
    return early_verdict(cases).outcome


@pytest.mark.parametrize(
    # Without transfer there is nothing to be seen early or late; of gaps that open late they
    # do not agree; of gaps that are there early, in full or by more than half, not disagree.
    ("gaps", "wrong"),
    [
        ([none] * 3, ("agree", "disagree")),
        ([opens(0.08, 3.0), opens(0.02, -3.0)], ("agree",)),
        ([opens(0.13, 3.0), opens(0.5, -3.0)], ("disagree",)),
        ([lambda loss: np.where(loss < 0.05, 3.0, np.where(loss < 0.4, 1.8, 0.0))], ("disagree",)),
    ],
    ids=["none", "late", "early", "grows"],
)
def test_whether_gaps_open_early(
    gaps: Sequence[Callable[[Array], Array]], wrong: tuple[str, ...]
) -> None:
    generator = np.random.default_rng(7)
    at_most(page(generator, 3, gaps) in wrong for _ in range(100))


# Factors.


def cases(
    generator: np.random.Generator,
    seeds: int,
    transfers: Sequence[float],
    moves: Callable[[str, float], float],
    names: Sequence[str] = TABLE_FACTORS,
) -> list[Case]:
    """A case for each transfer, in SDs of a value, against one baseline.

    Half of a value's variance is its seed's, and a factor's noise goes along with the metric's.
    """
    base = generator.normal(size=(1 + len(names), seeds))
    found = []
    for place, size in enumerate(transfers):
        own = generator.normal(size=(1 + len(names), seeds))
        own[1:] += 0.7 * own[0]
        values = base + own
        changes: dict[str, Comparison | None] = {
            name: against(values[1 + i] + moves(name, size), base[1 + i], direction="lower")
            for i, name in enumerate(names)
        }
        found.append(Case(f"case {place}", against(values[0] + size, base[0]), changes, 1e-3))
    return found


REAL = (60.0, 60.0, -60.0, -60.0)
"""Transfers of both signs that are certain with three seeds."""


def wrong_outcomes(
    generator: np.random.Generator, seeds: int, transfers: Sequence[float]
) -> tuple[bool, bool]:
    """Whether any of three factors of pure noise is told, and whether the claim is."""
    verdicts = factor_verdicts(cases(generator, seeds, transfers, lambda name, size: 0.0))
    told = any(one.outcome in ("can explain", "moves the other way") for one in verdicts)
    return told, factor_support(verdicts) != "cannot tell"


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("transfers", [REAL, (0.0,) * 4, (60.0, 60.0, 0.0, 0.0)])
def test_factors_that_are_noise(seeds: int, transfers: Sequence[float]) -> None:
    """The paper's rule refutes them in nearly all pages: no change was found."""
    generator = np.random.default_rng(seeds)
    found = np.array([wrong_outcomes(generator, seeds, transfers) for _ in range(300)])
    at_most(found[:, 0])
    at_most(found[:, 1])


def test_factors_that_move_with_transfer_are_not_refuted() -> None:
    """Barely, so that noise could turn them: the truth is "can explain"."""
    generator = np.random.default_rng(5)

    def refuted() -> bool:
        found = factor_verdicts(cases(generator, 5, REAL, lambda name, size: -np.sign(size) * 0.1))
        return any(one.outcome == "moves the other way" for one in found)

    at_most(refuted() for _ in range(300))


def test_factors_that_move_against_one_transfer_do_not_explain() -> None:
    generator = np.random.default_rng(6)

    def explained() -> bool:
        found = factor_verdicts(
            cases(generator, 5, (60.0, 61.0, -60.0), lambda name, size: 0.1 if size > 60 else -size)
        )
        return any(one.outcome == "can explain" for one in found)

    at_most(explained() for _ in range(300))


def test_optimizers_that_change_nothing() -> None:
    """Six optimizers, three tasks, one reference: all 18 changes are one family."""
    generator = np.random.default_rng(8)

    def any_change() -> bool:
        found = [
            SmtoCase(f"optimizer {i}", f"task {task}", "target", "higher", case)
            for task in range(3)
            for i, case in enumerate(cases(generator, 3, (0.0,) * 6, lambda *_: 0.0, ()))
        ]
        return any(one.case.transfer.significant for one in judged_smtos(found))

    at_most(any_change() for _ in range(250))


def test_optimizers_whose_factors_are_noise() -> None:
    """Real changes of generalization in both directions; four panels."""
    generator = np.random.default_rng(9)

    def told() -> bool:
        found = cases(generator, 3, REAL, lambda *_: 0.0, SMTO_FACTORS)
        verdicts = factor_verdicts(found, SMTO_FACTORS)
        return any(one.outcome in ("can explain", "moves the other way") for one in verdicts)

    at_most(told() for _ in range(250))


# Correlations.


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The p by permutation is no part of any verdict, and takes most of the time."""
    monkeypatch.setattr(correlation, "PERMUTATIONS", 1)


def of_sizes(generator: np.random.Generator, count: int, rho: float) -> tuple[Array, Array, Array]:
    """Similarity and a quantity of sets of 2, 5, 10 and 20 tasks, that both go with 1/√K.

    With K fixed their correlation is ``rho``.
    """
    root = 1 / np.sqrt(np.resize([2.0, 5.0, 10.0, 20.0], count))
    x, y = generator.normal(size=(2, count))
    y = rho * x + (1 - rho**2) ** 0.5 * y
    return root + 0.02 * x, 5 * root + y, root


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(("count", "rho"), [(8, 0.0), (8, 0.5), (20, 0.8)])
def test_fishers_interval_covers(count: int, rho: float) -> None:
    generator = np.random.default_rng(count)

    def missed(held: bool) -> bool:
        x, y, root = of_sizes(generator, count, rho)
        x, y = (x, y) if held else (x - root, y - 5 * root)
        found = correlate(x, y, given=root if held else None)
        assert found is not None
        return not found.ci_low <= rho <= found.ci_high

    at_most(missed(held=False) for _ in range(600))
    at_most(missed(held=True) for _ in range(600))


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("count", [8, 20])
def test_a_correlation_with_the_size_of_sets_held_fixed(count: int) -> None:
    """Both go with the number of tasks: without holding it fixed nearly all are significant."""
    generator = np.random.default_rng(count)
    pages = [of_sizes(generator, count, 0.0) for _ in range(800)]
    held = [correlate(x, y, given=root) for x, y, root in pages]
    at_most(found is not None and found.pearson_p < LEVEL for found in held)
    alone = [correlate(x, y) for x, y, _ in pages[:200]]
    assert np.mean([found is not None and found.pearson_p < LEVEL for found in alone]) > 0.3


def conflict(
    generator: np.random.Generator, sets: int, targets: int, rho: float
) -> tuple[str, str]:
    """Both halves of a page: three factors and the test metric of each target."""
    found = {}
    for target in range(targets):
        root = 1 / np.sqrt(np.resize([2.0, 5.0, 10.0, 20.0], sets))
        similarity = generator.normal(size=sets)
        for column in (*TABLE_FACTORS, "test_metric"):
            other = rho * similarity + (1 - rho**2) ** 0.5 * generator.normal(size=sets)
            found[f"target {target}", column] = correlate(
                root + 0.02 * similarity, root + other, given=root
            )
    verdict = conflict_verdict(found, {f"target {target}": sets for target in range(targets)})
    return verdict.optimization, verdict.generalization


@pytest.mark.usefixtures("few_draws")
def test_conflict_that_has_to_do_with_nothing() -> None:
    generator = np.random.default_rng(10)
    pages = [conflict(generator, 20, 3, 0.0) for _ in range(200)]
    at_most(optimization != "cannot tell" for optimization, _ in pages)
    at_most(generalization == "disagree" for _, generalization in pages)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("rho", [-0.3, 0.3])
def test_conflict_that_foretells_by_three_tenths(rho: float) -> None:
    """At the very border of what is next to nothing, of one target with many sets."""
    generator = np.random.default_rng(11)
    pages = [conflict(generator, 100, 1, rho) for _ in range(250)]
    at_most(generalization == "agree" for _, generalization in pages)


# Claims about all, most and some differences.


def family(generator: np.random.Generator, means: Array, seeds: int) -> list[Comparison]:
    """Differences of these means with a standard deviation of 1, of one baseline, as a page has."""
    baseline = generator.normal(size=seeds) / 2**0.5
    ours = generator.normal(size=(means.size, seeds)) / 2**0.5 + means[:, None]
    return judged([against(one, baseline) for one in ours])


@pytest.mark.parametrize("seeds", [3, 10])
def test_claims_about_all_and_most_of_nothing(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    pages = [family(generator, np.zeros(7), seeds) for _ in range(300)]
    at_most(all_of(page, "better") != "cannot tell" for page in pages)
    at_most(most_of(page, "better") != "cannot tell" for page in pages)


def test_a_claim_about_all_is_not_said_for_one_exception() -> None:
    generator = np.random.default_rng(1)
    means = np.array([8.0, 8.0, 8.0, 0.0])
    at_most(all_of(family(generator, means, 10), "better") == "agree" for _ in range(300))


def test_changes_as_large_as_the_reach_are_not_said_to_be_small() -> None:
    generator = np.random.default_rng(2)
    pages = [family(generator, np.full(7, 0.5), 10) for _ in range(300)]
    at_most(mostly_small(page, 0.5) == "agree" for page in pages)


@pytest.mark.parametrize(
    # Losses fall from 2.3 to .001: at 100 times the lowest a gap is not open yet, or is.
    ("gap", "wrong"),
    [(opens(0.05, 3.0), "agree"), (opens(0.5, 3.0), "disagree")],
)
def test_gaps_two_orders_of_magnitude_above_the_last_loss(
    gap: Callable[[Array], Array], wrong: str
) -> None:
    generator = np.random.default_rng(3)

    def said() -> str:
        given = trained(generator, 5, gap)
        found = judged_cases([gap_case(NOWHERE, given)])
        begun = [beginning(NOWHERE, given, 100 * one.lowest) for one in found]
        return far_verdict(found, begun, 100)

    at_most(said() == wrong for _ in range(100))
