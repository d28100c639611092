"""synthetic: auxiliaries of known relatedness to the target, and of known label noise.

A task's true function is f = V φ(x) on x ~ N(0, I_20): logits of four classes, linear in three
features. The target's features φ_t are the products x1 x2, x3 x4 and x5 x6; an auxiliary of
cosine ρ has ρ φ_t + √(1 − ρ²) φ_⊥, with three products of coordinates that the target does not
read. All these products have mean 0 and variance 1 and are uncorrelated, and V has orthonormal
columns, so ρ is exactly the cosine ⟨f_t, f_a⟩ / (‖f_t‖ ‖f_a‖) under the distribution of the inputs.
The construction is ours.

A task has a head of its own, which can undo a sign and any other linear map of f: what an encoder
has to learn for cosine −1 is what it has to learn for cosine 1. So it is |ρ| that tells how much of
what an auxiliary needs is of use to the target.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.splits import balanced_order
from mtl_core.errors import unknown
from mtl_core.settings.base import (
    DataState,
    Preset,
    Relatedness,
    Setting,
    Split,
    Task,
    TaskData,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SETTING", "relatedness", "true_function"]

TARGET = "target"
DIMENSION = 20
_TRAIN, _VAL, _TEST = 1_000, 500, 2_000
_NOISES = (0, 20, 50)
_V = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2

_TARGET_PAIRS = ((0, 1), (2, 3), (4, 5))
_OTHER_PAIRS = {
    100: _TARGET_PAIRS,
    75: ((6, 7), (8, 9), (10, 11)),
    50: ((12, 13), (14, 15), (16, 17)),
    25: ((6, 8), (10, 12), (14, 16)),
    0: ((7, 9), (11, 13), (15, 17)),
    -50: ((18, 19), (6, 12), (8, 14)),
    -100: _TARGET_PAIRS,
}
"""100 ρ of an auxiliary -> the coordinates whose products are its φ_⊥; no product is there twice.

That of cosine 1 and −1 has no weight.
"""


def _name(cosine: int, noise: int) -> str:
    sign = "m" if cosine < 0 else ""
    return f"cos{sign}{abs(cosine)}" + (f"_noise{noise}" if noise else "")


_MADE = {TARGET: (100, 0)} | {
    _name(cosine, noise): (cosine, noise) for cosine in _OTHER_PAIRS for noise in _NOISES
}
"""Task -> 100 ρ and the percentage of its labels that are wrong."""


def relatedness(task: str, target: str = TARGET) -> Relatedness:
    """What two tasks have in common, on ``task``'s training inputs."""
    data = _task(task).train
    one, other = (true_function(name, data.inputs) for name in (task, target))
    cosine = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    return Relatedness(
        cosine=_cosine(task, target),
        measured=float(cosine),
        label_noise=_made(task)[1] / 100,
        label_agreement=float((data.targets == other.argmax(axis=1)).mean()),
    )


def true_function(task: str, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """The logits that a task's labels follow, up to noise: (N, 20) -> (N, 4)."""
    cosine, _ = _made(task)
    rho = cosine / 100
    features = rho * _products(inputs, _TARGET_PAIRS)
    features += np.sqrt(1 - rho**2) * _products(inputs, _OTHER_PAIRS[cosine])
    logits: NDArray[np.float64] = features @ _V.T
    return logits


def _products(inputs: NDArray[np.float32], pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    one, other = np.array(pairs).T
    return inputs[:, one].astype(np.float64) * inputs[:, other]


def _cosine(task: str, other: str) -> float:
    """Tasks of one cosine have one function; those of two have no φ_⊥ in common."""
    one, two = _made(task)[0] / 100, _made(other)[0] / 100
    return 1.0 if one == two else one * two


def _made(task: str) -> tuple[int, int]:
    try:
        return _MADE[task]
    except KeyError:
        raise unknown("task of synthetic", task, _MADE) from None


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    return {name: _task(name) for name in names}


@cache
def _task(name: str) -> TaskData:
    """Every task has inputs of its own; they depend on its name alone."""
    random = np.random.Generator(np.random.PCG64([*name.encode()]))
    return TaskData(*(_split(name, size, random) for size in (_TRAIN, _VAL, _TEST)))


def _split(name: str, size: int, random: np.random.Generator) -> Split:
    # Steps of 1/4096, so that no machine's last bit changes the fingerprint.
    drawn = random.standard_normal((size, DIMENSION))
    inputs = (np.round(drawn * 4096) / 4096).astype(np.float32)
    labels = true_function(name, inputs).argmax(axis=1)
    wrong = random.permutation(size)[: size * _made(name)[1] // 100]
    labels[wrong] = (labels[wrong] + random.integers(1, len(_V), size=len(wrong))) % len(_V)
    order = balanced_order(inputs.view(np.uint8), labels)
    return Split(inputs[order], labels[order])


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.mlp import MLP

    return MLP(DIMENSION, width)


def _of(name: str) -> Task:
    cosine, noise = _MADE[name]
    title = f"Cosine {cosine / 100:g} with the target" if name != TARGET else "The target"
    if noise:
        title += f", {noise} % of labels wrong"
    return Task(
        name,
        title,
        classes=len(_V),
        train_size=_TRAIN,
        val_size=_VAL,
        test_size=_TEST,
        # More data of the target's distribution; of the others nothing is promised.
        expected="helpful" if (cosine, noise) == (100, 0) else None,
    )


SETTING = Setting(
    name="synthetic",
    title="Synthetic",
    description=(
        "Four classes of vectors drawn from a normal distribution, made so that the cosine of an "
        "auxiliary's true function with the target's is known, and so is the share of its labels "
        "that are wrong: cos50_noise20 has cosine 0.5, and 20 % wrong labels. cosm50 is −0.5."
    ),
    tasks=tuple(_of(name) for name in _MADE),
    default_target=TARGET,
    presets={
        "quick": Preset(
            epochs=15,
            batch_size=32,
            lr=3e-3,
            width=64,
            factor_points=6,
            factor_examples=512,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=20,
        ),
        # Until the training loss of every auxiliary's run is below 0.01, where factors are judged.
        "standard": Preset(
            epochs=100,
            batch_size=32,
            lr=3e-3,
            width=64,
            factor_points=24,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=100,
        ),
        "paper": Preset(epochs=100, batch_size=32, lr=1e-3, width=64),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(1 * width**2 + 22 * width),
    data_state=lambda: DataState("found", "generated"),
    relatedness=relatedness,
)
