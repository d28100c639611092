"""Captured: a step over buffers that stay in place, recorded once and replayed as a whole.

A GPU is given the operations of a small network's step more slowly than it carries them out. A CUDA
graph has them all and is given at once. It repeats what was recorded, whatever has changed since,
so none is trusted before it has done what the step itself does, and no run depends on one.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["Capture", "Captured", "graph"]

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records a step, by calling it, and returns what carries it out again."""

_WARM_UP = 3
"""Steps before it is captured, in which everything that is made once is made."""

_TRIALS = 2
"""Steps in which what is replayed is compared: that which it was captured on, and another."""

_ROUNDING = 1e-2
"""How far off a buffer may be, as a share of how far the step moves it. A step that reads what it
should not is wrong by about as much as it moves; sums in another order are far below this, but for
gradients that are rounding and nothing else."""

_EPSILON = 1e-6
"""The same as a share of the buffer's own size."""


class Captured:
    """Calls are steps: carried out as they are at first, and replayed once that proves right.

    Args:
        step: changes the buffers in place, and nothing else that outlives it.
        buffers: by name; the same tensors after each step.
        capture: how a step is recorded.

    Attributes:
        trouble: why all steps are carried out as they are after all, as a clause; "" while there
            is no reason.
    """

    def __init__(
        self,
        step: Callable[[], None],
        buffers: Callable[[], Mapping[str, Tensor]],
        capture: Capture,
    ) -> None:
        self.trouble = ""
        self._step, self._buffers, self._capture = step, buffers, capture
        self._replay: Callable[[], None] | None = None
        self._taken = 0

    @property
    def trusted(self) -> bool:
        """Whether steps are replayed from now on."""
        return self._replay is not None and self._taken >= _WARM_UP + _TRIALS

    def __call__(self) -> None:
        """A step."""
        if self.trusted and self._replay is not None:
            self._replay()
        elif self.trouble or self._taken < _WARM_UP:
            self._step()
        else:
            self._try()
        self._taken += 1

    def _try(self) -> None:
        """A step as it is, whose outcome holds, and a replayed one beside it."""
        try:
            before = _copies(self._buffers())
        except Exception as error:
            self._give_up(_words(error))
            self._step()
            return
        self._step()
        expected: dict[str, Tensor] | None = None
        try:
            expected = _copies(self._buffers())
            _put(self._buffers(), before)
            if self._replay is None:
                self._replay = self._capture(self._step)
                _put(self._buffers(), before)
            self._replay()
            if wrong := _differing(before, expected, self._buffers()):
                self._give_up(f"a captured step gave another {wrong} than the step itself")
        except Exception as error:
            self._give_up(_words(error))
        finally:
            if expected is not None:
                _put(self._buffers(), expected)

    def _give_up(self, trouble: str) -> None:
        self.trouble, self._replay = trouble, None


def graph(step: Callable[[], None]) -> Callable[[], None]:
    """Capture in a CUDA graph, by a thread that is not disturbed by what others do on the GPU."""
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded, capture_error_mode="thread_local"):
        step()
    return recorded.replay


def _copies(buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in buffers.items()}


def _put(buffers: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, buffer in buffers.items():
        buffer.copy_(values[name])


def _differing(
    before: Mapping[str, Tensor], expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> str:
    """The first buffer that is off by more than rounding; "" for none. NaN equals NaN."""
    for name, ours in found.items():
        theirs = expected[name]
        same = (ours == theirs) | (ours.isnan() & theirs.isnan())
        off = (ours.double() - theirs.double()).where(~same, 0.0).norm()
        moved = (theirs.double() - before[name].double()).nan_to_num().norm()
        size = theirs.double().nan_to_num().norm()
        if not off <= _ROUNDING * moved + _EPSILON * size:
            return name
    return ""


def _words(error: Exception) -> str:
    """What went wrong, in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
