"""Adam over explicit state, for methods that learn numbers of their own."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import State

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["adam"]

_MEAN, _SQUARE, _SMALL = 0.9, 0.999, 1e-8


def adam(
    state: State, name: str, gradient: "Tensor", *, lr: float, weight_decay: float = 0.0
) -> None:
    """Replace ``state[name]``, (N, K), by its value after one step against ``gradient``, (N, K).

    The moments and the count of steps are kept beside it. Kingma & Ba 2015, Algorithm 1, with its
    default decay rates; weight decay is added to the gradient.
    """
    value = state[name]
    gradient = gradient + weight_decay * value
    nothing = value.new_zeros(value.shape)
    mean = state.get(f"{name}_mean", nothing)
    square = state.get(f"{name}_square", nothing)
    steps = state.get(f"{name}_steps", value.new_zeros(len(value), 1)) + 1
    mean = _MEAN * mean + (1 - _MEAN) * gradient
    square = _SQUARE * square + (1 - _SQUARE) * gradient.square()
    length = (square / (1 - _SQUARE**steps)).sqrt() + _SMALL
    state[name] = value - lr * mean / (1 - _MEAN**steps) / length
    state[f"{name}_mean"] = mean
    state[f"{name}_square"] = square
    state[f"{name}_steps"] = steps
