"""The gradient playground's plane, whose gradients are dragged by pointer or keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from pages.parts import stage
from pages.parts.components import component, told

__all__ = ["Move", "moved", "plane"]

_CSS = """
.plane {
  position: relative; width: 100%; color: var(--st-text-color); font-family: var(--st-font);
}
svg { display: block; }
.sector path { fill: #858585; fill-opacity: 0.16; }
.rings circle { fill: none; stroke: #858585; stroke-width: 0.8; stroke-opacity: 0.45; }
.rings text { fill: #858585; font-size: calc(11px * var(--larger)); }
.arrows line { stroke: #858585; stroke-width: calc(6px * var(--larger)); }
.arrows path { fill: #858585; }
.arrows text { fill: #858585; font-size: calc(17px * var(--larger)); font-weight: 600; }
text { user-select: none; pointer-events: none; }
.updates line { stroke-width: calc(2.5px * var(--larger)); pointer-events: none; }
.updates path { pointer-events: none; }
.over { fill: transparent; }
.faded { opacity: 0.12; }
.hands circle {
  fill: currentColor; fill-opacity: 0; stroke: currentColor; stroke-opacity: 0.3;
  cursor: grab; touch-action: none; outline: none;
}
.hands circle:hover { fill-opacity: 0.08; stroke-opacity: 0.6; }
.hands circle:active { cursor: grabbing; }
.hands circle:focus-visible {
  stroke: var(--st-primary-color); stroke-opacity: 1; stroke-width: 2.5;
}
.legend { display: flex; flex-wrap: wrap; justify-content: center; gap: 2px 10px; }
.legend button {
  display: flex; align-items: center; gap: 6px; padding: 3px 4px; border: 0; background: none;
  color: inherit; font: calc(13px * var(--larger)) var(--st-font); cursor: pointer;
}
.legend button.faded { opacity: 0.4; }
.legend button:focus-visible { outline: 2px solid var(--st-primary-color); }
.legend path { stroke-width: 2; }
dl {
  position: absolute; z-index: 1; display: grid; grid-template-columns: auto auto; gap: 2px 8px;
  margin: 0; padding: 6px 9px; max-width: 100%; pointer-events: none;
  font-size: calc(12px * var(--larger));
  background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius);
}
dl[hidden] { display: none; }
dt { opacity: 0.65; }
dd { margin: 0; }
"""


@dataclass(frozen=True)
class Move:
    """Where a gradient was moved to.

    Args:
        place: of the gradient, from 0.
        angle: whole degrees.
        length: not negative.
        held: whether a hand still holds it.
    """

    place: int
    angle: int
    length: float
    held: bool


def plane(
    key: str,
    drawing: Mapping[str, Any],
    gradients: Sequence[Mapping[str, Any]],
    *,
    label: str,
    on_move: Callable[[], None],
) -> None:
    """The arrows; ``moved`` has where one was dragged.

    Args:
        drawing: of ``charts.plane_drawing``.
        gradients: ``name, angle, length, loss`` of each.
        label: what the plane is, for those who do not see it.
        on_move: called some ten times a second while a gradient is moved, and at the end.
    """
    answered = told(key, "moved").get("number")
    data = {
        **drawing,
        "gradients": list(gradients),
        "label": label,
        "larger": stage.LARGER if stage.now().present else 1,
        "answered": answered,
    }
    component("plane", _CSS)(key=key, data=data, on_moved_change=on_move)


def moved(key: str) -> Move | None:
    """The last move; None before, and for what no hand of ours can have sent."""
    now = told(key, "moved")
    place, angle, length, held = (now.get(name) for name in ("place", "angle", "length", "held"))
    if not (_whole(place) and place >= 0 and _whole(angle) and isinstance(held, bool)):
        return None
    if not (_whole(length) or isinstance(length, float)):
        return None
    return Move(place, angle, float(length), held)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
