"""A race: which of several trainings generalizes best, with no more seeds than it takes to tell.

All start with few seeds. At each look those that cannot be the best any more are out, and seeds go
to the others (successive elimination, Even-Dar, Mannor & Mansour 2006). All have the same seeds,
so they are compared seed by seed. One of them is the *reference*, the training without any of the
auxiliaries in question: it races along, so that what wins is better than going without, and runs on
when it is out, so that every difference to it is over all seeds of the other.

**The bound.** Let m train, and let x̄_i be a mean over the n seeds of look r = 1, 2, …. For every
pair the upper bound of what i is better than j is

    u_ij = x̄_i − x̄_j + t(1 − α_r, f) s_ij / √n,    α_r = 5 % / (r (r + 1) (m − 1) |R|)

with R the ones that are still in the race. A training i is out once u_ij < 0 for some j of R; R
shrinks, and the bounds are looked at again. The race is over when one is left, or when u_jl ≤ the
margin for a leader l and all others j of R: nobody is better than l by more than that. While the
reference is in R, only the reference can end it so: whether anything helps is not left open.

*What a race says is true with probability 95 %*: of the trainings that are best (there may be
several equal ones) none is called out, and a leader that ends the race is within the margin of
them. To see it, let T be the best ones, k of them. Either mistake takes a u_ij below the true
difference for some i of T. At the first one all of T is in R, so that |R| ≥ k and its level is at
most 5 % / (r (r + 1) (m − 1) k). There are k (m − 1) pairs with an i of T, whichever of them leads,
and Σ 1 / (r (r + 1)) = 1: altogether at most 5 %. This is Holm's (1979) step-down, where the
hypotheses are "i is a best one", with Bonferroni over pairs and alpha spending (Lan & DeMets 1983)
over any number of looks. So the leader may be chosen by the data, and the race may be given more
seeds afterwards.

**The spread.** Two or three seeds tell little of a pair's spread: alone, its t has one or two
degrees of freedom, and 23 candidates would need five seeds each before anybody is out. So the
pair's variance is moderated by that of all others (Smyth 2004, eq. 4.1):

    s²_ij = (d s²_0 + (n − 1) s²_pair) / (d + n − 1),    f = d + n − 1

with s²_0 twice the residual variance, after means of trainings and of seeds, of all trainings but i
and j at the first look. Smyth estimates d; here it is at most 5, and at most a quarter of the
degrees of freedom of s²_0. That allows pairs whose standard deviations differ by a factor of four
(95 % of a scaled inverse χ²_5), where an estimated d would trust them to be alike. The bound is
Student's own with three trainings, exact on normal noise; with more it rests on that prior. By
simulation (``tests/analysis/test_race.py``, ``benchmarks/race.py``) it holds with spreads that
differ 1 : 8, with one or two trainings three or four times as noisy as all others, with t(3) and
exponential noise, and with one seed in ten that fails.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtl_core.analysis.intervals import LEVEL
from mtl_core.direction import Direction
from mtl_core.errors import InputError

__all__ = [
    "LOOKS",
    "Course",
    "Race",
    "RaceOutcome",
    "Runner",
    "RunnerState",
    "course",
    "looks",
    "race",
]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int_]

LOOKS = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64)
"""Seeds at which a race is looked at."""
MANY = 16
"""Trainings from which on two seeds each are enough to begin with."""
PRIOR = 5.0
"""Degrees of freedom that the others' spread counts for, at most."""
SHARE = 4
"""It counts for one degree of freedom out of so many that it was estimated with."""

RunnerState = Literal["racing", "out", "winner", "level", "undecided", "failed"]
RaceOutcome = Literal["racing", "winner", "level", "undecided"]


@dataclass(frozen=True)
class Runner:
    """One training of a race, as it stands.

    Attributes:
        name: of the training.
        state: ``winner``; ``out``, another one is better; ``level``, nobody is better than the
            leader by more than the margin, it included; ``undecided``, with all seeds spent;
            ``failed``, it cannot be judged; else ``racing``.
        seeds: over which it was judged last; 0 before the first look.
        wanted: seeds that the next look takes, from the first one on; 0 where it needs no more.
        mean: over the seeds that it was judged with; NaN before.
        delta: its mean minus the reference's, over the seeds that both were judged with.
        low: lower end of the 95 % interval of ``delta``, by itself: what is out and who wins goes
            by wider ones, which hold together.
        high: its upper end.
        beaten_by: who is better than one that is out.
        look: the number of the look at which it left; 0 while it is in the race.
    """

    name: str
    state: RunnerState
    seeds: int
    wanted: int
    mean: float
    delta: float
    low: float
    high: float
    beaten_by: str | None = None
    look: int = 0


@dataclass(frozen=True)
class Race:
    """A race as it stands.

    Attributes:
        runners: the leader first, then those in the race, best mean first; then those that are out,
            the last to leave first.
        outcome: ``winner``, one is better than all others; ``level``, nobody is better than the
            leader by more than the margin; ``undecided``, all seeds are spent; else ``racing``.
        reference: the training that the others have to be better than.
        leader: who wins, or is ahead; None before the first look.
        looks: how many there were.
        margin: differences up to this are worth nothing, in the unit of the metric.
    """

    runners: tuple[Runner, ...]
    outcome: RaceOutcome
    reference: str
    leader: str | None
    looks: int
    margin: float

    @property
    def wanted(self) -> dict[str, int]:
        """Training to the seeds, from the first one on, that the next look takes."""
        return {runner.name: runner.wanted for runner in self.runners if runner.wanted}

    @property
    def spent(self) -> int:
        """Runs that were looked at."""
        return sum(runner.seeds for runner in self.runners)

    @property
    def helped(self) -> bool:
        """Whether something is certain to be better than the reference."""
        return self.runner(self.reference).state == "out"

    def runner(self, name: str) -> Runner:
        """The runner with a name."""
        return next(runner for runner in self.runners if runner.name == name)


def looks(count: int, most: int = LOOKS[-1]) -> tuple[int, ...]:
    """The numbers of seeds at which a race of so many trainings is looked at.

    Args:
        most: seeds of a training at most.

    >>> looks(23, 10)
    (2, 3, 4, 5, 6, 8, 10)
    >>> looks(4, 6)
    (3, 4, 5, 6)
    """
    first = 2 if count >= MANY else 3
    return tuple(seeds for seeds in LOOKS if first <= seeds <= most)


def race(
    results: Mapping[str, Sequence[float]],
    *,
    reference: str,
    most: int,
    margin: float,
    direction: Direction = "higher",
    failed: Collection[str] = (),
) -> Race:
    """How a race stands, given what is known. It follows from the numbers alone.

    Results beyond what a look takes do not count before a later one: whoever knows more seeds of
    some trainings does not judge them by other rules.

    Args:
        results: training -> E of each seed, in the same order of seeds for all, as far as known.
        reference: the training without any of the auxiliaries in question.
        most: seeds of a training at most.
        margin: differences up to this are worth nothing, in the metric's unit; at least 0.
        direction: which way the metric is better.
        failed: trainings that cannot be judged, since a run of theirs failed.

    Raises:
        InputError: fewer than two trainings, no such reference or one that failed, no candidate
            that did not, a margin below 0, or too few seeds for a single look.

    >>> known = {"alone": [70.1, 70.4, 69.8], "a": [80.2, 80.4, 79.9], "b": [80.0, 80.9, 79.8]}
    >>> found = race(known, reference="alone", most=10, margin=1.0)
    >>> found.outcome, found.leader, found.runner("alone").state, found.wanted
    ('racing', 'b', 'out', {'b': 4, 'a': 4, 'alone': 4})
    """
    names = list(results)
    _check(names, reference, most, margin, failed)
    sign = 1.0 if direction == "higher" else -1.0
    width = min(most, max(map(len, results.values()), default=0))
    values = np.full((1, len(names), max(width, 1)), np.nan)
    for place, known in enumerate(results.values()):
        values[0, place, : min(len(known), width)] = known[:width]
    # What comes after a seed that is not known does not count either.
    values = sign * np.where(np.isnan(values).cumsum(-1) > 0, np.nan, values)
    started = np.array([[name not in failed for name in names]])
    found = course(
        values, most=most, margin=margin, reference=names.index(reference), in_it=started
    )
    return _told(names, values[0], found, reference, most, margin, sign)


def _check(
    names: Sequence[str], reference: str, most: int, margin: float, failed: Collection[str]
) -> None:
    if reference not in names:
        raise InputError(f"the race has no {reference!r} to compare with; it has: {names}")
    if len(names) < 2:
        raise InputError("a race takes at least one candidate beside what it is compared with")
    if reference in failed:
        raise InputError(f"a run of {reference!r} failed, which all others are compared with")
    if not {*names} - {reference, *failed}:
        raise InputError("a run of every candidate failed; try them again")
    if not margin >= 0:
        raise InputError(f"margin {margin:g} is below 0")
    if not looks(len(names), most):
        least = looks(len(names))[0]
        raise InputError(f"{most} seeds are too few for a race; give at least {least}")


# The course of many races at once; the page's is the first of one.


@dataclass(frozen=True)
class Course:
    """What became of B races of m trainings.

    Attributes:
        alive: (B, m), whether a training is in the race.
        judged: (B, m), seeds over which it was judged last.
        left: (B, m), the look at which it left; 0 while it is in the race.
        beaten_by: (B, m), the place of who is better than one that is out; else -1.
        leader: (B,), the place of the leader; -1 before the first look.
        looks: (B,), how many looks there were.
        outcome: (B,), of 0 racing, 1 winner, 2 level, 3 undecided.
        first: seeds of the first look.
        prior: (B, m, m), variance of a pair's difference as the others have it; NaN before.
        freedom: degrees of freedom that it counts for.
    """

    alive: Flags
    judged: Numbers
    left: Numbers
    beaten_by: Numbers
    leader: Numbers
    looks: Numbers
    outcome: Numbers
    first: int
    prior: Array
    freedom: float

    @property
    def spent(self) -> Numbers:
        """(B,), runs that were looked at."""
        return np.asarray(self.judged.sum(-1))


_RACING, _WINNER, _LEVEL, _UNDECIDED = range(4)
_OUTCOMES: tuple[RaceOutcome, ...] = ("racing", "winner", "level", "undecided")


def course(
    values: Array,
    *,
    most: int,
    margin: float,
    reference: int = 0,
    in_it: Flags | None = None,
) -> Course:
    """Follow races look by look, until they are over or a result that a look takes is missing.

    Args:
        values: (B, m, n), higher is better; NaN where a result is not known yet.
        most: seeds of a training at most.
        margin: differences up to this are worth nothing.
        reference: the place of the training that the others have to be better than.
        in_it: (B, m), which trainings race at all.
    """
    races, count, known = values.shape
    alive = np.ones((races, count), bool) if in_it is None else in_it.copy()
    judged, left = np.zeros((2, races, count), int)
    beaten_by = np.full((races, count), -1)
    leader, looked, outcome = np.full(races, -1), np.zeros(races, int), np.zeros(races, int)
    grid = looks(count, most)
    prior, freedom = _prior(values[..., : grid[0]], alive)
    for look, seeds in enumerate(grid, 1):
        if seeds > known:
            break
        x = values[..., :seeds]
        ready = (outcome == _RACING) & ~(np.isnan(x).any(-1) & alive).any(-1) & alive.any(-1)
        ready &= looked == look - 1
        if not ready.any():
            break
        judged[ready[:, None] & alive] = seeds
        # The reference runs along when it is out, so that differences to it have everybody's seeds.
        judged[ready & ~np.isnan(x[:, reference]).any(-1), reference] = seeds
        looked[ready] = look
        bounds = _Bounds.of(x, prior, freedom)
        share = LEVEL / (look * (look + 1) * (count - 1))
        while True:
            upper = bounds.upper(share / alive.sum(-1))
            worse = np.where(alive[:, None, :], upper, np.inf)  # only who races sends others out
            out = (worse.min(-1) < 0) & alive & ready[:, None]
            if not out.any():
                break
            beaten_by[out], left[out] = worse.argmin(-1)[out], look
            alive &= ~out
        ahead, over = _ahead(bounds.means, upper, alive, margin, reference)
        leader[ready] = ahead[ready]
        outcome[ready] = over[ready]
    spent = (outcome == _RACING) & (looked == len(grid))
    outcome[spent] = _UNDECIDED
    return Course(alive, judged, left, beaten_by, leader, looked, outcome, grid[0], prior, freedom)


def _ahead(
    means: Array, upper: Array, alive: Flags, margin: float, reference: int
) -> tuple[Numbers, Numbers]:
    """Who leads, and whether the race is over by that.

    The reference leads where nobody can be better than it by more than the margin: then nothing is
    worth adding. While it is in the race and that is not certain, the race goes on.
    """
    rows = np.arange(len(means))
    leader = np.where(alive, means, -np.inf).argmax(-1)
    # (B, m): what any other may be better than each.
    others = alive[:, :, None] & ~np.eye(means.shape[-1], dtype=bool)
    most = np.where(others, upper, -np.inf).max(-2)
    reference_does = alive[:, reference] & (most[:, reference] <= margin)
    leader_does = ~alive[:, reference] & (most[rows, leader] <= margin)
    single = alive.sum(-1) == 1
    level = ~single & (reference_does | leader_does)
    leader = np.where(~single & reference_does, reference, leader)
    return leader, np.where(single, _WINNER, np.where(level, _LEVEL, _RACING))


@dataclass(frozen=True)
class _Bounds:
    """Pairs of trainings at one look.

    Attributes:
        means: (B, m)
        error: (B, m, m), standard errors of differences; 0 where neither the pair nor the others
            show any spread.
        known: (B, m, m), whether a spread, or that there is no difference, is known.
        freedom: degrees of freedom.
    """

    means: Array
    error: Array
    known: Flags
    freedom: float

    @classmethod
    def of(cls, x: Array, prior: Array, freedom: float) -> "_Bounds":
        """Of the values (B, m, n) of a look."""
        seeds = x.shape[-1]
        means = x.mean(-1)
        apart = x - means[..., None]
        products = apart @ np.swapaxes(apart, -1, -2)
        squares = np.diagonal(products, axis1=-2, axis2=-1)
        # (n - 1) s² of each pair; rounding may leave it a little off 0.
        pair = np.maximum(squares[:, :, None] + squares[:, None, :] - 2 * products, 0)
        pair[pair < 1e-20 * (1 + means[:, :, None] ** 2)] = 0
        total = freedom + seeds - 1
        error = np.sqrt((freedom * np.nan_to_num(prior) + pair) / total / seeds)
        delta = means[:, :, None] - means[:, None, :]
        return cls(means, error, (error > 0) | (delta == 0), total)

    def upper(self, level: Array) -> Array:
        """(B, m, m): upper bounds of what each is better than each other, at these levels (B,).

        Equal differences of a pair by itself, such as of metrics that count a few examples, have no
        spread that could be estimated: as long as there is none the bound is infinite.
        """
        from scipy import special  # type: ignore[import-untyped, unused-ignore]  # not on import

        reach = -special.stdtrit(self.freedom, level)[:, None, None]
        delta = self.means[:, :, None] - self.means[:, None, :]
        upper: Array = np.where(self.known, delta + reach * self.error, np.inf)
        return upper


def _prior(first: Array, in_it: Flags) -> tuple[Array, float]:
    """What the others tell of a pair's variance, and how many degrees of freedom it counts for.

    Twice the residual variance of the two-way layout trainings × seeds without the pair's two rows.

    Args:
        first: (B, m, n), the values of the first look; those that are not known leave a race's
            prior NaN, as it is not looked at yet.
        in_it: (B, m), which trainings race at all.
    """
    races, count, seeds = first.shape
    rows = int(in_it.sum(-1).min()) - 2
    freedom = (seeds - 1) * (rows - 1)
    counts_for = min(PRIOR, freedom / SHARE)
    if counts_for <= 0:
        return np.zeros((races, count, count)), 0.0
    x = np.where(in_it[..., None], first, 0.0)
    apart = x - x.mean(-1, keepdims=True)
    squares, sums = (apart**2).sum(-1), apart.sum(-2)
    # Residual sum of squares: Σ_i Σ_s apart² − rows Σ_s (mean over i of apart)².
    left = squares.sum(-1)[:, None, None] - squares[:, :, None] - squares[:, None, :]
    pairs = apart[:, :, None, :] + apart[:, None, :, :]
    means = (sums[:, None, None, :] - pairs) / rows
    residual = np.maximum(left - rows * (means**2).sum(-1), 0)
    return 2 * residual / freedom, counts_for


# How it is told.


def _told(
    names: Sequence[str],
    values: Array,
    found: Course,
    reference: str,
    most: int,
    margin: float,
    sign: float,
) -> Race:
    outcome = _OUTCOMES[int(found.outcome[0])]
    leader = None if found.leader[0] < 0 else names[int(found.leader[0])]
    grid = looks(len(names), most)
    looked = int(found.looks[0])
    runners = [
        _runner(place, names, values, found, reference, outcome, grid, looked, sign)
        for place in range(len(names))
    ]
    return Race(
        tuple(sorted(runners, key=lambda runner: _order(runner, leader, sign))),
        outcome,
        reference,
        leader,
        looked,
        margin,
    )


def _runner(
    place: int,
    names: Sequence[str],
    values: Array,
    found: Course,
    reference: str,
    outcome: RaceOutcome,
    grid: Sequence[int],
    looked: int,
    sign: float,
) -> Runner:
    left, seeds = int(found.left[0, place]), int(found.judged[0, place])
    alive = bool(found.alive[0, place])
    state: RunnerState = outcome if alive else "out" if left else "failed"
    base = names.index(reference)
    goes_on = outcome == "racing" and (alive or (place == base and state == "out"))
    shared = min(seeds, int(found.judged[0, base]))
    delta, low, high = _against(values[place, :shared], values[base, :shared], found, place, base)
    low, high = sorted((sign * low, sign * high))
    return Runner(
        names[place],
        state,
        seeds,
        grid[looked] if goes_on else 0,
        sign * float(values[place, :seeds].mean()) if seeds else math.nan,
        sign * delta,
        low,
        high,
        names[int(found.beaten_by[0, place])] if left else None,
        left,
    )


def _against(
    own: Array, base: Array, found: Course, place: int, reference: int
) -> tuple[float, float, float]:
    """The difference to the reference with its 95 % interval, moderated as the bounds are."""
    if own.size < 2:
        return math.nan, math.nan, math.nan
    if place == reference:
        return 0.0, 0.0, 0.0
    from scipy import special

    bounds = _Bounds.of(np.stack([own, base])[None], found.prior[:, [[place]], [[reference]]],
                        found.freedom)  # fmt: skip
    delta = float(own.mean() - base.mean())
    reach = float(special.stdtrit(bounds.freedom, 1 - LEVEL / 2) * bounds.error[0, 0, 1])
    reach = reach if bounds.known[0, 0, 1] else math.inf
    return delta, delta - reach, delta + reach


def _order(runner: Runner, leader: str | None, sign: float) -> tuple[bool, bool, int, float]:
    mean = math.inf if math.isnan(runner.mean) else -sign * runner.mean
    return runner.name != leader, runner.look > 0, -runner.look, mean
