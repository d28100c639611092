"""Padding: what pads all inputs of a batch is cut off before they are encoded.

An encoder of inputs (..., L) that may end in padding, such as the tokens of texts, says so by a
method ``lengths``, (..., L) -> (...): how much of each comes before its padding. Its features do
not depend on padding, so a batch may be as short as its longest input: the numbers are the same to
within rounding. Lengths go in steps of eight, so that a GPU meets few shapes.

The inputs of other encoders are left as they are.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

__all__ = ["chunks", "common", "cut", "lengths"]

_STEP = 8


def lengths(encoder: nn.Module, inputs: Tensor) -> Tensor | None:
    """How much of each input (..., L) is not padding, (...); None where none can be."""
    measure = getattr(encoder, "lengths", None)
    if measure is None:
        return None
    found: Tensor = measure(inputs)
    return found


def cut(inputs: Tensor, longest: int) -> Tensor:
    """Inputs (..., L) up to ``longest``, rounded up to a whole step."""
    return inputs[..., : _whole(longest)]


def common(longest: Sequence[int], device: torch.device) -> list[int]:
    """How long batches are to be that belong together, by the longest input of each.

    A CPU takes one batch after the other, each at its own length. A GPU takes them side by side,
    which needs one length.
    """
    if device.type != "cpu":
        return [max(longest)] * len(longest)
    return list(longest)


def chunks(lengths: Tensor, most: int) -> Iterator[Tensor]:
    """Numbers of N inputs, all of them, in batches of nearly one length, the shortest first.

    Args:
        lengths: (N,).
        most: numbers that a batch may have, padding included; it has one input at least.
    """
    order = torch.argsort(lengths, stable=True)
    sizes = [_whole(length) for length in lengths[order].tolist()]
    start = 0
    for stop in range(1, len(sizes) + 1):
        if stop == len(sizes) or (stop + 1 - start) * sizes[stop] > most:
            yield order[start:stop]
            start = stop


def _whole(length: int) -> int:
    return -(-length // _STEP) * _STEP
