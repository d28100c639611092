"""Task gradients in the plane, and the updates that multi-task optimizers make of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtl_core.charts.legend import POINTS
from mtl_core.charts.palette import COLOURS, DASHES, SHAPES, Curve
from mtl_core.errors import InputError

__all__ = ["Arrow", "plane_alt", "plane_drawing", "style_methods"]

HUES = COLOURS[:6]  # greys are the gradients'
MOST_DECADES = 4
"""In a logarithmic plot, arrows shorter than 1e-4 of the longest are drawn at the origin."""
NOTHING = 1e-9
"""Of the longest update: what is no longer has no direction."""
LARGEST_STACK = 4
"""How many markers at one place can each be seen; further ones are hidden behind these."""


@dataclass(frozen=True)
class Arrow:
    """A method's update.

    Args:
        method: label of its ``Curve``.
        x: to the right.
        y: up.
        words: what hovering says of it, beside its length and angle.
    """

    method: str
    x: float
    y: float
    words: Mapping[str, str]


def style_methods(labels: Sequence[str]) -> list[Curve]:
    """A colour, dash and shape for each method; they depend on its place in ``labels`` alone.

    Six neighbours share a dash and differ in shape, so dash and shape identify a method without
    any colour.

    Raises:
        InputError: for more than 36 methods.
    """
    if len(labels) > len(HUES) * len(DASHES):
        raise InputError(
            f"{len(labels)} methods cannot be told apart; show at most {len(HUES) * len(DASHES)}"
        )
    return [
        Curve(label, HUES[i % len(HUES)], DASHES[i // len(HUES)], SHAPES[i % len(SHAPES)])
        for i, label in enumerate(labels)
    ]


def plane_drawing(
    gradients: Sequence[tuple[float, float]],
    updates: Sequence[Arrow],
    methods: Sequence[Curve],
    *,
    log: bool = False,
) -> dict[str, Any]:
    """What is drawn beside the task gradients, as ``pages/parts/plane.js`` takes it.

    The longest arrow reaches the radius 1, and rings say how long that is. Which directions make no
    task's loss rise is left to the browser, since it changes with a gradient that is dragged.

    Args:
        gradients: (K, 2).
        updates: those that are not finite, or of no method that is drawn, are left out.
        methods: how each method is drawn, in legend order.
        log: whether the distance from the origin is the logarithm of an arrow's length; angles
            stay.

    Returns:
        ``longest`` and ``floor``: lengths at the radii 1 and 0, ``floor`` None where the radius is
        proportional; ``rings``: lengths; ``quiet``: the direction in degrees in which rings are
        named; ``updates`` in drawing order, with polar coordinates (``angle`` in degrees, None for
        a zero vector), the ``size`` of the marker and ``words``; ``methods`` for the legend.
    """
    arrows = [_polar(x, y) for x, y in gradients]
    known = {method.label: place for place, method in enumerate(methods)}
    drawn = [
        one
        for one in updates
        if one.method in known and math.isfinite(one.x) and math.isfinite(one.y)
    ]
    least = NOTHING * max((math.hypot(one.x, one.y) for one in drawn), default=0.0)
    ends = [_polar(one.x, one.y, least) for one in drawn]
    moves = [
        {
            "method": known[one.method],
            "length": length,
            "angle": angle,
            "words": {**one.words, "length": f"{length:.4g}", "angle": _degrees(angle)},
        }
        for one, (length, angle) in zip(drawn, ends, strict=True)
    ]
    radius = _Radius([length for length, _ in [*arrows, *ends]], log=log)
    angles = [angle for _, angle in [*arrows, *ends]]
    return {
        "longest": radius.longest,
        "floor": radius.floor if log else None,
        "rings": radius.ticks(),
        "quiet": _quiet([angle for angle in angles if angle is not None]),
        "updates": _stacked(moves, radius),
        "methods": [
            {
                "label": method.label,
                "colour": method.colour,
                "dash": list(method.dash),
                "marker": POINTS[method.shape],
            }
            for method in methods
        ],
    }


def plane_alt(tasks: Sequence[str], methods: Sequence[Curve]) -> str:
    """One sentence for those who do not see the chart; the same whatever the numbers."""
    shown = ", ".join(method.label for method in methods) or "no method"
    return (
        f"Arrows in the plane: the task gradients {', '.join(tasks)}, and from the same origin the "
        f"updates of {shown}; the table beside it has their numbers."
    )


class _Radius:
    """From an arrow's length to its distance from the origin; 1 for the longest."""

    def __init__(self, lengths: Sequence[float], *, log: bool) -> None:
        seen = [length for length in lengths if length > 0]
        self.longest = max(seen, default=1.0)
        self._log = log
        shortest = max(min(seen, default=1.0), self.longest / 10**MOST_DECADES)
        # Half a decade below the shortest arrow, so that it has a direction too.
        self.floor = shortest / math.sqrt(10)

    def __call__(self, length: float) -> float:
        if not self._log:
            return length / self.longest
        if length <= self.floor:
            return 0.0
        return math.log(length / self.floor) / math.log(self.longest / self.floor)

    def ticks(self) -> list[float]:
        """Lengths at which there is a ring: powers of ten, or two to five round numbers."""
        if self._log:
            first, last = math.log10(self.floor), math.log10(self.longest)
            powers = [10.0**e for e in range(math.floor(first) + 1, math.floor(last + 1e-9) + 1)]
            return powers or [self.longest]
        decade = 10.0 ** math.floor(math.log10(self.longest))
        step = next(s * decade for s in (0.2, 0.5, 1, 2, 5) if self.longest / (s * decade) < 5)
        return [i * step for i in range(1, math.floor(self.longest / step + 1e-9) + 1)]


def _polar(x: float, y: float, least: float = 0.0) -> tuple[float, float | None]:
    """Length, and angle in degrees; what is no longer than ``least`` has neither."""
    length = math.hypot(x, y)
    return (length, math.degrees(math.atan2(y, x))) if length > least else (0.0, None)


def _degrees(angle: float | None) -> str:
    return "–" if angle is None else f"{angle:.1f}°"


def _stacked(moves: Sequence[dict[str, Any]], radius: _Radius) -> list[dict[str, Any]]:
    """Updates in drawing order, with the ``size`` of their markers, in square pixels.

    The longest come first, so that none hides a shorter one of the same direction. Where several
    end in one place, the first method's marker is on top and smallest, so that all can be seen.
    """
    placed: list[tuple[float, dict[str, Any]]] = []
    ends: dict[tuple[float, float], int] = {}
    for move in sorted(moves, key=lambda move: int(move["method"])):
        r, turn = radius(move["length"]), math.radians(move["angle"] or 0.0)
        # Adding 0.0 makes one place of -0.0 and 0.0.
        end = (round(r * math.cos(turn), 2) + 0.0, round(r * math.sin(turn), 2) + 0.0)
        above = ends[end] = ends.get(end, -1) + 1
        size = 70.0 * (1 + 0.45 * min(above, LARGEST_STACK)) ** 2
        placed.append((round(r, 2), {**move, "size": size}))
    return [move for _, move in sorted(placed, key=lambda pair: pair[0])[::-1]]


def _quiet(busy: Sequence[float]) -> float:
    """The direction, of sixteen, that is farthest from all arrows; in degrees."""

    def room(turn: float) -> float:
        return min((abs((turn - angle + 180) % 360 - 180) for angle in busy), default=180.0)

    return max((22.5 * i for i in range(16)), key=room)
