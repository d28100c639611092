"""Guesses: what people expected, as bars, and where the outcome lies among them."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from mtl_core.charts.layers import GREY, Figure, figure, unchecked

__all__ = ["answers_alt", "answers_chart", "guesses_alt", "guesses_chart"]

CAME = "#0072B2"
BINS = 20
ROW = 44  # pixels
LONGEST_ANSWER = 240  # pixels


@unchecked
def answers_chart(
    counts: Mapping[str, int], came: str | None = None, *, name: str = "answers"
) -> Figure:
    """A bar for each answer, with its number; the one that came out is blue.

    Args:
        counts: an answer's words to how many gave it, in the order of the question.
        came: the words of what came out; None before that is known.
        name: of the chart, unique on its page.
    """
    rows = pd.DataFrame({"answer": list(counts), "count": list(counts.values())})
    rows["came"] = rows["answer"] == came
    most = max([*counts.values(), 4])
    base = alt.Chart(rows).encode(
        y=alt.Y(
            "answer:N",
            sort=None,
            axis=alt.Axis(title=None, domain=False, ticks=False, labelLimit=LONGEST_ANSWER),
        ),
        x=alt.X("count:Q", scale=alt.Scale(domain=[0, most]), axis=None),
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.6}).encode(
        color=alt.condition("datum.came", alt.value(CAME), alt.value(GREY))
    )
    numbers = base.mark_text(align="left", dx=6, fontSize=14).encode(text="count:Q")
    return figure(
        [bars.properties(name=f"{name}_bars"), numbers],
        ROW * len(counts),
        view=alt.ViewBackground(strokeOpacity=0),
    )


def answers_alt(counts: Mapping[str, int], came: str | None = None) -> str:
    """One sentence for those who do not see the chart."""
    told = ", ".join(f"{count} for “{answer}”" for answer, count in counts.items())
    return f"Answers: {told}." + (f" What came out: “{came}”." if came else "")


@unchecked
def guesses_chart(
    values: Sequence[float],
    *,
    low: float,
    high: float,
    title: str,
    own: float | None = None,
    came: tuple[float, float] | None = None,
    name: str = "guesses",
    height: int = 160,
) -> Figure:
    """How often each number was guessed, one's own guess, and the interval that came out.

    Args:
        values: guesses of others; without any there are no bars.
        low: end of the axis.
        high: its other end; the interval may reach beyond, and is cut there.
        title: of the axis, with its unit.
        own: one's own guess, a grey diamond.
        came: the 95 % interval of the outcome, a blue band; None before that is known.
        name: of the chart, unique on its page.
        height: of the plot in pixels.
    """
    scale = alt.Scale(domain=[low, high], nice=False, clamp=True)
    axis = alt.Axis(title=title, grid=False, tickCount=7)
    x = alt.X("value:Q", scale=scale, axis=axis)
    layers = [_bars(values, low, high, x)] if values else []
    band = pd.DataFrame([came] if came else [], columns=["value", "end"], dtype=float)
    layers.append(
        alt.Chart(band)
        .mark_rect(opacity=0.35, color=CAME, stroke=CAME, strokeWidth=2, clip=True)
        .encode(x=x, x2="end:Q")
        .properties(name=f"{name}_came")
    )
    zero = pd.DataFrame({"zero": [0.0] if low < 0 < high else []}, dtype=float)
    layers.append(
        alt.Chart(zero)
        .mark_rule(color=GREY, strokeDash=[3, 3])
        .encode(x=alt.X("zero:Q", scale=scale, axis=axis))
    )
    mine = pd.DataFrame({"own": [] if own is None else [own]}, dtype=float)
    layers.append(
        alt.Chart(mine)
        .mark_point(shape="diamond", size=220, filled=True, color=GREY, opacity=1, yOffset=-2)
        .encode(x=alt.X("own:Q", scale=scale, axis=axis), y=alt.value(height / 2))
    )
    return figure(layers, height, view=alt.ViewBackground(strokeOpacity=0))


def guesses_alt(
    values: Sequence[float],
    *,
    title: str,
    own: float | None = None,
    came: tuple[float, float] | None = None,
) -> str:
    """One sentence for those who do not see the chart."""
    told = [f"{len(values)} guesses at the {title}" if values else f"The {title}"]
    if values:
        told.append(f"their median is {float(pd.Series(values).median()):g}")
    if own is not None:
        told.append(f"yours is {own:g}")
    if came:
        told.append(f"the interval that came out goes from {came[0]:.3g} to {came[1]:.3g}")
    return f"{'; '.join(told)}."


def _bars(values: Sequence[float], low: float, high: float, x: alt.X) -> alt.Chart:
    """Counts in bins that do not depend on the guesses, so that bars grow and do not move."""
    width = (high - low) / BINS
    places = pd.Series([min(int((v - low) / width), BINS - 1) for v in values])
    counts = places.value_counts().sort_index()
    rows = pd.DataFrame(
        {
            "value": [low + place * width for place in counts.index],
            "end": [low + (place + 1) * width for place in counts.index],
            "count": counts.to_numpy(),
        }
    )
    most = max(int(counts.max()), 4)
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_rect(color=GREY, opacity=1, stroke="transparent", strokeWidth=2)
        .encode(
            x=x,
            x2="end:Q",
            y=alt.Y(
                "count:Q",
                scale=alt.Scale(domain=[0, most]),
                axis=alt.Axis(title="guesses", tickMinStep=1, tickCount=4, grid=False),
            ),
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("count:Q", title="guesses")],
        )
    )
    return chart
