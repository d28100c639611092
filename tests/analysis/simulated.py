"""Trajectories of the app's size with known gaps and normal noise.

For the error rates in the tests, and for the power in ``benchmarks/verdicts.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis import Versus

Array = npt.NDArray[np.float64]
Side = tuple[list[pd.DataFrame], list[pd.DataFrame]]


def looks(generator: np.random.Generator, trials: int, seeds: int, count: int = 50) -> Array:
    """(trials, looks, seeds): differences at one epoch after the other, of runs without any.

    An AR(1) process with coefficient .8 beside what stays for all of a run, of equal variance.
    """
    steps = generator.normal(size=(count, trials, seeds))
    moving = np.empty_like(steps)
    moving[0] = steps[0]
    for look in range(1, count):
        moving[look] = 0.8 * moving[look - 1] + 0.6 * steps[look]
    stays = generator.normal(size=(trials, seeds))
    return np.moveaxis(moving + stays, 0, 1)


@dataclass(frozen=True)
class Given(Versus):
    """A comparison whose replicas are there already: splitting frames takes most of the time."""

    given: Side = ((), ())  # type: ignore[assignment]

    def sides(self, trajectories: pd.DataFrame) -> Side:
        return self.given


EPOCHS = 24
FALLS = np.geomspace(2.3, 1e-3, EPOCHS)
INSIDE = (0.1, 0.2, 0.4, 0.6, 0.8)


def trained(
    generator: np.random.Generator,
    seeds: int,
    gap: Callable[[Array], Array],
    sd: float = 0.42,
) -> Given:
    """A multi-task and a single-task curve of a setting's size, in points of accuracy.

    24 epochs and five checkpoints inside the first, losses from 2.3 to .001, which fall a tenth
    faster or slower at random. Of a seed's noise, ``sd``, half of the
    variance stays for all of a run and half is of each checkpoint. Seeds have a larger share of
    noise, SD 1, that both curves have in common.
    """
    epoch = np.array([0.0, *INSIDE, *range(1, EPOCHS + 1)])
    falls = np.interp(epoch, [0, *range(1, EPOCHS + 1)], np.log([2.5, *FALLS]))
    shared = generator.normal(size=seeds)

    def curve(more: Callable[[Array], Array]) -> list[pd.DataFrame]:
        replicas = []
        for seed in range(seeds):
            loss = np.exp(falls * generator.uniform(0.97, 1.03) - 0.05 * generator.uniform())
            noise = sd / 2**0.5 * (generator.normal() + generator.normal(size=(2, epoch.size)))
            test, val = 70 - 10 * loss + shared[seed] + more(loss) + noise
            replicas.append(
                pd.DataFrame(
                    {
                        "seed": seed,
                        "step": 10 * np.arange(epoch.size),
                        "epoch": epoch,
                        "train_loss": loss,
                        "val_metric": val,
                        "test_metric": test,
                    }
                )
            )
        return replicas

    ours, theirs = curve(gap), curve(lambda loss: np.zeros_like(loss))
    return Given("target", "mtl", "stl", "higher", given=(ours, theirs))


def none(loss: Array) -> Array:
    return np.zeros_like(loss)


def opens(at: float, points: float) -> Callable[[Array], Array]:
    return lambda loss: np.where(loss < at, points, 0.0)
