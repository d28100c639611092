"""What colour, dash and point shape mean; they mean the same on every page.

Colour says what a curve's auxiliaries are (Okabe & Ito's palette, which colour-blind people can
tell apart); dash and shape tell curves of one colour apart. Together dash and shape identify a
curve without any colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mtl_core.errors import InputError

__all__ = ["Curve", "CurveKey", "Kind", "style_curves"]

Kind = Literal["stl", "helpful", "harmful", "other"]

MEANING: dict[Kind, str] = {"stl": "#0072B2", "helpful": "#009E73", "harmful": "#D55E00"}
FURTHER = ("#E69F00", "#56B4E9", "#CC79A7", "#6E6E6E", "#949494")
COLOURS = (*MEANING.values(), *FURTHER)

DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 3), (9, 3, 2, 3), (13, 4), (4, 2))
SHAPES = (
    "circle",
    "triangle-up",
    "triangle-down",
    "square",
    "diamond",
    "cross",
    "triangle-right",
    "triangle-left",
)


@dataclass(frozen=True)
class CurveKey:
    """A curve to be drawn: its label, what its auxiliaries are, and whether the user pinned it."""

    label: str
    kind: Kind
    pinned: bool = False


@dataclass(frozen=True)
class Curve:
    """How a curve is drawn.

    Attributes:
        label: its name in legend and data.
        colour: hex, legible on white and on near-black.
        dash: lengths on and off, in pixels; (1, 0) is solid.
        shape: of its points; a Vega symbol name.
    """

    label: str
    colour: str
    dash: tuple[int, ...]
    shape: str


def style_curves(items: Sequence[CurveKey]) -> list[Curve]:
    """A style for each item, in order; no two share colour and dash, nor dash and shape.

    Curves that are not pinned are styled first, so that the current run's curve is solid and the
    pinned ones are dashed.

    Raises:
        InputError: two items have the same label, or there are more than 48.
    """
    labels = [item.label for item in items]
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(f"two curves are labelled {repeated[0]!r}; give each its own label")
    if len(items) > len(COLOURS) * len(DASHES):
        raise InputError(
            f"{len(items)} curves cannot be told apart; show at most {len(COLOURS) * len(DASHES)}"
        )
    styles: dict[str, Curve] = {}
    taken: set[tuple[str, int]] = set()
    for item in sorted(items, key=lambda item: item.pinned):
        colour, dash = next(slot for slot in _preferences(item.kind) if slot not in taken)
        taken.add((colour, dash))
        shape = SHAPES[(COLOURS.index(colour) + dash) % len(SHAPES)]
        styles[item.label] = Curve(item.label, colour, DASHES[dash], shape)
    return [styles[label] for label in labels]


def _preferences(kind: Kind) -> list[tuple[str, int]]:
    """(colour, place in DASHES), best first.

    A kind with a colour of its own keeps it through all dashes; for others, the colour changes
    before the dash.
    """
    own = [(MEANING[kind], dash) for dash in range(len(DASHES))] if kind in MEANING else []
    further = [(colour, dash) for dash in range(len(DASHES)) for colour in FURTHER]
    # Only a page with dozens of curves gets here; telling them apart then comes before meaning.
    last = [(colour, dash) for dash in range(len(DASHES)) for colour in MEANING.values()]
    return own + further + last
