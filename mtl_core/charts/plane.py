"""Task gradients in the plane, and the updates that multi-task optimizers make of them."""

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from mtl_core.charts.layers import PICK, Figure, colour_scale, dimmed, figure, unchecked
from mtl_core.charts.legend import MARKERS, curve_legend
from mtl_core.charts.palette import COLOURS, DASHES, SHAPES, Curve
from mtl_core.errors import InputError

__all__ = ["plane_alt", "plane_chart", "style_methods"]

GREY = "#858585"  # shows on white and on near-black alike
HUES = COLOURS[:6]  # greys are the gradients'
EDGE = 1.2  # of the longest arrow: room for the gradients' labels beyond it
LABEL_GAP = 0.13
HEAD = 0.075  # length of a gradient's head
HEAD_PATH = "M0,0L0.9,2L-0.9,2Z"  # its tip is where the gradient ends
MOST_DECADES = 4
"""In a logarithmic plot, arrows shorter than 1e-4 of the longest are drawn at the origin."""
LARGEST_STACK = 4
"""How many markers at one place can each be seen; further ones are hidden behind these."""


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


@unchecked
def plane_chart(
    gradients: pd.DataFrame,
    updates: pd.DataFrame,
    methods: Sequence[Curve],
    *,
    log: bool = False,
    height: int = 380,
    name: str = "plane",
) -> Figure:
    """Arrows from one origin, in a square as large as the container's width or ``height`` allow.

    Gradients are thick and grey; an update is a line with its method's colour and dash that ends in
    its marker. The directions against which no task's loss rises are shaded. The longest arrow
    always reaches the same radius and grey rings say how long it is, so that the specification does
    not depend on the numbers.

    Args:
        gradients: ``task, x, y, loss``; a row per task.
        updates: ``method, x, y``, and the words ``weights`` and ``effects`` for hovering. Rows
            that are not finite are left out.
        methods: how each method is drawn, in legend order.
        log: whether the distance from the origin is the logarithm of an arrow's length; angles
            stay.
        height: of the plot in pixels, without its legend.
        name: of the chart, unique on its page.
    """
    arrows = _polar(gradients.reindex(columns=["task", "x", "y", "loss"]))
    moves = _polar(updates.reindex(columns=["method", "x", "y", "weights", "effects"]))
    place = _Radius([*arrows["length"], *moves["length"]], log=log)
    arrows, moves = _placed(arrows, place), _placed(moves, place)
    layers = [
        _cone(arrows),
        *_rings(place, [*arrows["angle"], *moves["angle"]]),
        *_gradients(arrows),
        *_updates(_stacked(moves, methods), methods, name),
    ]
    return figure(layers, height, view=alt.ViewBackground(strokeOpacity=0))


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
        self._floor = shortest / math.sqrt(10)

    def __call__(self, length: float) -> float:
        if not self._log:
            return length / self.longest
        if length <= self._floor:
            return 0.0
        return math.log(length / self._floor) / math.log(self.longest / self._floor)

    def ticks(self) -> list[float]:
        """Lengths at which there is a ring: powers of ten, or two to five round numbers."""
        if self._log:
            first, last = math.log10(self._floor), math.log10(self.longest)
            powers = [10.0**e for e in range(math.floor(first) + 1, math.floor(last + 1e-9) + 1)]
            return powers or [self.longest]
        decade = 10.0 ** math.floor(math.log10(self.longest))
        step = next(s * decade for s in (0.2, 0.5, 1, 2, 5) if self.longest / (s * decade) < 5)
        return [i * step for i in range(1, math.floor(self.longest / step + 1e-9) + 1)]


def _polar(vectors: pd.DataFrame) -> pd.DataFrame:
    """Finite vectors with their ``length`` and ``angle`` in degrees; a zero vector's is NaN."""
    kept = vectors.astype({"x": float, "y": float})
    kept = kept[kept["x"].abs().lt(math.inf) & kept["y"].abs().lt(math.inf)]
    pairs = list(zip(kept["x"], kept["y"], strict=True))
    lengths = pd.Series([math.hypot(*pair) for pair in pairs], index=kept.index, dtype=float)
    lengths = lengths.where(lengths > 1e-9 * lengths.max(), 0.0)
    angles = pd.Series([math.degrees(math.atan2(y, x)) for x, y in pairs], index=kept.index)
    kept = kept.assign(length=lengths, angle=angles.astype(float).where(lengths > 0))
    return kept.reset_index(drop=True)


def _placed(vectors: pd.DataFrame, radius: _Radius) -> pd.DataFrame:
    """Where vectors end in the plot, as ``x, y``, at a distance ``r`` from the origin."""
    r = vectors["length"].map(radius).astype(float)
    turn = vectors["angle"].fillna(0.0).map(math.radians).astype(float)
    return vectors.assign(x=r * turn.map(math.cos), y=r * turn.map(math.sin), r=r)


def _stacked(moves: pd.DataFrame, methods: Sequence[Curve]) -> pd.DataFrame:
    """Updates in drawing order, with the ``shape`` and ``size`` of their markers.

    The longest come first, so that none hides a shorter one of the same direction. Where several
    end in one place, the first method's marker is on top and smallest, so that all can be seen.
    """
    order = {method.label: place for place, method in enumerate(methods)}
    moves = moves[moves["method"].isin(list(order))]
    moves = moves.sort_values("method", key=lambda labels: labels.map(order))
    above = moves.groupby([moves["x"].round(2), moves["y"].round(2)]).cumcount()
    shapes = moves["method"].map({method.label: method.shape for method in methods})
    sizes = 70.0 * (1 + 0.45 * above.clip(upper=LARGEST_STACK)) ** 2
    moves = moves.assign(size=sizes, shape=shapes, near=moves["r"].round(2)).iloc[::-1]
    moves = moves.sort_values("near", ascending=False, kind="stable", ignore_index=True)
    return moves.drop(columns="near")


def _x(field: str = "x") -> alt.X:
    side = "min(width, height)"
    ends = [alt.ExprRef(f"(width - {side}) / 2"), alt.ExprRef(f"(width + {side}) / 2")]
    scale = alt.Scale(domain=[-EDGE, EDGE], range=ends, nice=False, zero=False)
    return alt.X(f"{field}:Q", scale=scale, axis=None)


def _y(field: str = "y") -> alt.Y:
    side = "min(width, height)"
    ends = [alt.ExprRef(f"(height + {side}) / 2"), alt.ExprRef(f"(height - {side}) / 2")]
    scale = alt.Scale(domain=[-EDGE, EDGE], range=ends, nice=False, zero=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=None)


def _cone(arrows: pd.DataFrame) -> alt.Chart:
    """The directions at 90° or less to every gradient, as a sector of radius 1."""
    low, high = _sector(arrows["angle"].dropna().tolist())
    turns = [low + (high - low) * i / 48 for i in range(49)] if low < high else []
    corners = [(0.0, 0.0), *((math.cos(math.radians(t)), math.sin(math.radians(t))) for t in turns)]
    sector = pd.DataFrame(
        [{"x": x, "y": y, "corner": i} for i, (x, y) in enumerate(corners)] if turns else [],
        columns=["x", "y", "corner"],
    )
    chart: alt.Chart = (
        alt.Chart(sector)
        .mark_line(filled=True, fill=GREY, fillOpacity=0.16, strokeWidth=0, tooltip=None)
        .encode(x=_x(), y=_y(), order=alt.Order("corner:Q"))
    )
    return chart


def _sector(angles: Sequence[float]) -> tuple[float, float]:
    """Both ends of the cone in degrees, counter-clockwise; of an empty one, the first is not below.

    Relative to the first gradient's angle the cone is [−90, 90]; another gradient, at ±d, leaves
    [d − 90, 90] or [−90, 90 − d] of it.
    """
    if not angles:
        return 0.0, 0.0
    turns = [(angle - angles[0] + 180) % 360 - 180 for angle in angles]
    return angles[0] + max(turns) - 90, angles[0] + min(turns) + 90


def _rings(radius: _Radius, busy: Sequence[float]) -> list[alt.Chart]:
    ticks = radius.ticks()
    rings = pd.DataFrame(
        [
            {
                "x": radius(tick) * math.cos(math.radians(turn)),
                "y": radius(tick) * math.sin(math.radians(turn)),
                "ring": tick,
                "turn": turn,
            }
            for tick in ticks
            for turn in range(0, 360, 6)
        ]
    )
    quiet = math.radians(_quiet(busy))
    numbers = pd.DataFrame(
        {
            "x": [radius(tick) * math.cos(quiet) for tick in ticks],
            "y": [radius(tick) * math.sin(quiet) for tick in ticks],
            "length": ticks,
        }
    )
    line = (
        alt.Chart(rings)
        .mark_line(stroke=GREY, strokeWidth=0.8, opacity=0.45, interpolate="cardinal-closed")
        .encode(x=_x(), y=_y(), detail=alt.Detail("ring:Q"), order=alt.Order("turn:Q"))
    )
    words = (
        alt.Chart(numbers)
        .mark_text(fill=GREY, fontSize=11, align="left", baseline="bottom", dx=2, dy=-1)
        .encode(x=_x(), y=_y(), text=alt.Text("length:Q", format="~g"))
    )
    return [line, words]


def _quiet(busy: Sequence[float]) -> float:
    """The direction, of sixteen, that is farthest from all arrows; in degrees."""
    arrows = [angle for angle in busy if math.isfinite(angle)]

    def room(turn: float) -> float:
        return min((abs((turn - angle + 180) % 360 - 180) for angle in arrows), default=180.0)

    return max((22.5 * i for i in range(16)), key=room)


def _gradients(arrows: pd.DataFrame) -> list[alt.Chart]:
    turn = arrows["angle"].fillna(0.0).map(math.radians).astype(float)
    stem, label = (arrows["r"] - HEAD).clip(lower=0), arrows["r"] + LABEL_GAP
    across, up = turn.map(math.cos).astype(float), turn.map(math.sin).astype(float)
    drawn = arrows.assign(
        from_x=0.0,
        from_y=0.0,
        stem_x=stem * across,
        stem_y=stem * up,
        label_x=label * across,
        label_y=label * up,
        heading=90 - arrows["angle"],
    )
    tooltip = [
        alt.Tooltip("task:N", title="gradient"),
        alt.Tooltip("length:Q", title="length", format=".4~g"),
        alt.Tooltip("angle:Q", title="angle, degrees", format=".4~g"),
        alt.Tooltip("loss:Q", title="task loss", format=".4~g"),
    ]
    base = alt.Chart(drawn)
    stems = base.mark_rule(stroke=GREY, strokeWidth=6, strokeCap="butt").encode(
        x=_x("from_x"),
        y=_y("from_y"),
        x2=alt.X2("stem_x"),
        y2=alt.Y2("stem_y"),
        tooltip=tooltip,
    )
    heads = base.mark_point(filled=True, fill=GREY, opacity=1, size=260, shape=HEAD_PATH).encode(
        x=_x(), y=_y(), angle=alt.Angle("heading:Q", scale=None), tooltip=tooltip
    )
    labels = base.mark_text(fill=GREY, fontSize=17, fontWeight=600).encode(
        x=_x("label_x"), y=_y("label_y"), text="task:N"
    )
    return [stems, heads, labels]


def _updates(moves: pd.DataFrame, methods: Sequence[Curve], name: str) -> list[alt.Chart]:
    labels = [method.label for method in methods]
    legend, colour = curve_legend(methods), colour_scale(methods)
    dashes = alt.Scale(domain=labels, range=[list(method.dash) for method in methods])
    dash = alt.StrokeDash("method:N", scale=dashes, legend=legend)
    stroke = alt.Stroke("method:N", scale=colour, legend=legend)
    fill = alt.Fill("method:N", scale=colour, legend=legend)
    paths = alt.Scale(domain=labels, range=[MARKERS[method.shape] for method in methods])
    base = alt.Chart(moves.assign(from_x=0.0, from_y=0.0))
    opacity = dimmed(1.0, 0.12)
    lines = base.mark_rule(strokeWidth=2.5).encode(
        x=_x("from_x"),
        y=_y("from_y"),
        x2=alt.X2("x"),
        y2=alt.Y2("y"),
        stroke=stroke,
        strokeDash=dash,
        opacity=opacity,
    )
    # Expressions, not encodings: legends merge only where a channel has a single field.
    ends = base.mark_point(
        filled=True, shape=alt.ExprRef("datum.shape"), size=alt.ExprRef("datum.size")
    ).encode(x=_x(), y=_y(), fill=fill, opacity=opacity)
    shape = alt.Shape("method:N", scale=paths, legend=legend)
    tooltip = [
        alt.Tooltip("method:N", title="method"),
        alt.Tooltip("weights:N", title="weights"),
        alt.Tooltip("length:Q", title="length", format=".4~g"),
        alt.Tooltip("angle:Q", title="angle, degrees", format=".1f"),
        alt.Tooltip("effects:N", title="losses"),
    ]
    hover = (
        base.mark_point(filled=True, size=300, opacity=0)
        .encode(
            x=_x(), y=_y(), fill=fill, stroke=stroke, strokeDash=dash, shape=shape, tooltip=tooltip
        )
        .add_params(alt.selection_point(name=PICK, fields=["method"], bind="legend"))
        .properties(name=f"{name}_hover")
    )
    return [lines, ends, hover]
