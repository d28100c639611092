"""What the verdicts can and cannot see: how often they find what is there, and what is not.

    python benchmarks/verdicts.py [--trials N]

By simulation on normal noise. Effects are in standard deviations over the seeds of one curve, whose
noise has nothing in common with the other's; what seeds have in common makes our intervals narrower
and leaves the paper's rule (mean ± 2 SD do not overlap) as it is. The tests
(``tests/analysis/test_error_rates.py``) hold every rule to 5 % a page.
"""

import argparse

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from mtl_core.analysis import LEVEL, gap_case, holm
from tests.analysis.simulated import looks, opens, trained

Array = npt.NDArray[np.float64]

SEEDS = (3, 5, 10)
EFFECTS = (1, 2, 3)
POINTS = (1.5, 2.0, 3.0)
SD = 0.42  # of a curve's accuracy over its seeds, in points
FAMILY = 3  # comparisons on a page, of which one is real


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    trials = parser.parse_args().trials
    effects(trials)
    nothing(trials)
    gaps(trials // 50)


def effects(trials: int) -> None:
    """How often a difference is found: alone, and as the one real of three on a page."""
    head("found of real differences")
    for size in EFFECTS:
        paper, alone, among = [], [], []
        for seeds in SEEDS:
            generator = np.random.default_rng(seeds)
            baseline = generator.normal(size=(trials, seeds))
            curves = generator.normal(size=(FAMILY, trials, seeds))
            curves[0] += size
            paper.append(apart(curves[0], baseline).mean())
            p = p_values(curves - baseline)
            alone.append((p[0] < LEVEL).mean())
            among.append(np.mean([holm(each)[0] < LEVEL for each in p.T]))
        show(f"{size} SD, paper's ± 2 SD", paper)
        show(f"{size} SD, interval", alone)
        show(f"{size} SD, interval, {FAMILY} on a page", among)


def nothing(trials: int) -> None:
    """How often a difference is found where there is none."""
    head("found where there is none")
    fixed: list[list[float]] = [[], []]
    live: list[list[float]] = [[], []]
    for seeds in SEEDS:
        generator = np.random.default_rng(seeds)
        ours, theirs = generator.normal(size=(2, trials, seeds))
        fixed[0].append(apart(ours, theirs).mean())
        fixed[1].append((p_values(ours - theirs) < LEVEL).mean())
        ours, theirs = looks(generator, trials, seeds), looks(generator, trials, seeds)
        live[0].append(apart(ours, theirs).any(axis=1).mean())
        live[1].append((p_values(ours - theirs) < LEVEL).any(axis=1).mean())
    show("once, paper's ± 2 SD", fixed[0])
    show("once, interval", fixed[1])
    show("watched, the app (says nothing before the end)", fixed[1])
    show("50 verdicts on the way, paper's ± 2 SD", live[0])
    show("50 verdicts on the way, interval", live[1])
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(size=(2, trials, max(SEEDS)))
    said = [
        [apart(ours[:, :n], theirs[:, :n]), p_values(ours[:, :n] - theirs[:, :n]) < LEVEL]
        for n in SEEDS
    ]
    added = np.array(said).any(axis=0).mean(axis=1)
    print(f"seeds added after looks at {', '.join(map(str, SEEDS))} until there is a verdict:")
    print(f"  paper's ± 2 SD {added[0]:.1%}, interval {added[1]:.1%}")


def gaps(trials: int) -> None:
    """How often a gap that is there at every loss is said to be there, and early."""
    head(f"gaps from the start, SD {SD} points, 24 epochs")
    for points in POINTS:
        found, early = [], []
        for seeds in SEEDS:
            generator = np.random.default_rng(seeds)
            cases = [
                gap_case(pd.DataFrame(), trained(generator, seeds, opens(9.0, points), SD))
                for _ in range(trials)
            ]
            found.append(np.mean([case.significant for case in cases]))
            early.append(np.mean([case.early for case in cases]))
        show(f"{points} points, transfer found", found)
        show(f"{points} points, and the gap said early", early)


def p_values(differences: Array) -> Array:
    """Two-sided, of paired t tests over the last axis."""
    n = differences.shape[-1]
    t = differences.mean(axis=-1) / (differences.std(axis=-1, ddof=1) / n**0.5)
    p: Array = 2 * special.stdtr(n - 1, -np.abs(t))
    return p


def apart(ours: Array, theirs: Array) -> npt.NDArray[np.bool_]:
    """Whether mean ± 2 SD over the last axis do not overlap."""
    distance = np.abs(ours.mean(axis=-1) - theirs.mean(axis=-1))
    bands = 2 * (ours.std(axis=-1, ddof=1) + theirs.std(axis=-1, ddof=1))
    found: npt.NDArray[np.bool_] = distance > bands
    return found


def head(name: str) -> None:
    print(f"\n{name:<49}" + " ".join(f"{seeds:>7}" for seeds in SEEDS) + " seeds")


def show(name: str, rates: list[float]) -> None:
    print(f"  {name:<47}" + " ".join(f"{rate:>7.1%}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
