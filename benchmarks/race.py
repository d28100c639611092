"""A race: how often it keeps the best, what it costs against ten seeds of each, how often it errs.

    python benchmarks/race.py [--races N]

By simulation, with differences in points of accuracy. Every race is looked at ten seeds at most;
*runs* are those that it looked at, as a share of all trainings with ten seeds each.
``tests/analysis/test_race.py`` holds the error rates to 5 %.
"""

import argparse

import numpy as np
import numpy.typing as npt

from mtl_core.analysis.race import Course, course

Array = npt.NDArray[np.float64]

MOST = 10
MARGIN = 3.0
# What synthetic's target gains at the quick budget, in points, from none, each auxiliary in the
# setting's order, and all together; and the standard deviation of each over seeds.
# fmt: off
SYNTHETIC = np.array([
    0, 6.8, -0.8, -3.1, -3.7, -5.4, -4.0, -6.0, -5.2, -4.4, -7.7, -6.4,
    -5.7, -9.4, -8.0, -4.8, -5.6, -6.1, -3.4, 6.8, 0.4, -2.1, 1.7,
])
SPREADS = np.array([
    0.7, 0.3, 0.8, 1.4, 1.1, 1.4, 0.9, 2.2, 2.0, 1.1, 2.3, 0.8,
    2.4, 2.0, 1.5, 1.1, 1.0, 1.6, 1.0, 0.8, 1.1, 0.7, 0.8,
])
# fmt: on
KINDS = ("normal", "t(3)", "exponential", "1 : 8", "two 4 times", "1 in 10 fails")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1_000)
    races = parser.parse_args().races
    head = f"{'trainings, effects, noise':<44}"
    print(f"{head}{'best kept':>10}{'all true':>10}{'runs':>8}{'decided':>9}")
    real = np.random.default_rng(0).normal(SYNTHETIC, SPREADS, (races, MOST, len(SYNTHETIC)))
    ended = course(real.swapaxes(1, 2), most=MOST, margin=MARGIN)
    show("23, as on synthetic", SYNTHETIC, ended)
    for count, best in ((4, 3.0), (23, 3.0), (23, 6.0)):
        effects = np.zeros(count)
        effects[1] = best
        for kind in KINDS:
            values = effects[:, None] + noise(kind, races, count)
            show(f"{count}, one {best:g} SD better, {kind}", effects,
                 course(values, most=MOST, margin=MARGIN / 2))  # fmt: skip
    print("\nnone is better, and no margin: called out all the same")
    for count in (3, 4, 8, 16, 23):
        wrong = [
            (~course(noise(kind, races, count), most=MOST, margin=-1.0).alive).any(-1).mean()
            for kind in KINDS
        ]
        each = (f"{kind} {share:.1%}" for kind, share in zip(KINDS, wrong, strict=True))
        print(f"{count:>3} trainings  " + "  ".join(each))


def show(title: str, effects: Array, found: Course) -> None:
    best = effects == effects.max()
    kept = found.alive[:, best].all(-1)
    level = found.outcome == 2
    margin = MARGIN if title.endswith("synthetic") else MARGIN / 2
    true = kept & (~level | (effects[found.leader] >= effects.max() - margin))
    runs = found.spent.mean() / (len(effects) * MOST)
    decided = (found.outcome != 3).mean()
    print(f"{title:<44}{kept.mean():>10.1%}{true.mean():>10.1%}{runs:>8.0%}{decided:>9.0%}")


def noise(kind: str, races: int, count: int) -> Array:
    """(races, count, seeds) of standard deviation 1 for most, and what seeds have in common."""
    random = np.random.default_rng([count, *kind.encode()])
    shape = (races, count, MOST)
    drawn: Array = random.normal(size=shape)
    if kind == "t(3)":
        drawn = random.standard_t(3, size=shape) / 3**0.5
    elif kind == "exponential":
        drawn = random.exponential(size=shape) - 1
    elif kind == "1 : 8":
        drawn *= np.exp(random.uniform(np.log(0.25), np.log(2), size=(races, count, 1)))
    elif kind == "two 4 times":
        drawn[:, :2] *= 4
    elif kind == "1 in 10 fails":
        drawn[random.random(shape) < 0.1] -= 8
    return drawn + 2 * random.normal(size=(races, 1, MOST))


if __name__ == "__main__":
    main()
