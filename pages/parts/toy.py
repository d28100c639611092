"""The Pareto front page's toy problem: why not a weighted sum, and a front that follows sliders."""

from collections.abc import Sequence
from typing import TypeVar

import pandas as pd
import streamlit as st

from mtl_core.charts import front_alt, front_chart
from mtl_core.charts.plane import style_methods
from mtl_core.pareto import problems
from mtl_core.views import toy as views
from mtl_core.views.figures.pareto_front import METHOD_ORDER
from mtl_core.views.pareto_front import METHOD_TITLES
from mtl_core.views.toy import TOY
from mtl_core.views.turns import in_turn
from pages.parts import common, figures, slider

__all__ = ["lesson", "toy"]


@common.errors_in_words
def lesson() -> None:
    """What a weighted sum cannot find, solved for here and now."""
    st.subheader("Why not a weighted sum?")
    found = {
        "Weighted sum": _toy("independent", "weighted_sum", 20, 0.05, 500, 0, ()),
        "Tchebycheff": _toy("independent", "tchebycheff", 20, 0.05, 500, 0, ()),
    }
    shares = {name: views.hypervolume(table) for name, table in found.items()}
    ends = {name: views.at_ends(table) for name, table in found.items()}
    st.markdown(
        "Both lines are 20 preferences on the toy problem, whose true front bulges towards the "
        "upper right. Minimising a weighted sum slides a straight line down to the front, and on "
        "such a front it touches only the ends: "
        f"**{ends['Weighted sum']} of 20** solutions of the weighted sum lie at an end (one loss "
        "below 0.05). Tchebycheff, which minimises the largest weighted loss instead, has "
        f"**{ends['Tchebycheff']}** there. Hypervolume, the share of the plane that they dominate: "
        f"**{shares['Weighted sum']:.3f}** against **{shares['Tchebycheff']:.3f}**, of "
        f"{_true_hypervolume():.4f} for the true front."
    )
    _toy_chart(found, "pf_lesson")
    st.caption(
        "Solved for on this machine when you opened this: method independent, seed 0, learning "
        "rate 0.05, 500 iterations. Boyd & Vandenberghe 2004, §4.7.4: scalarizing by a weighted "
        "sum reaches every Pareto optimum only where the attainable set is convex."
    )


@st.fragment
@in_turn
@common.errors_in_words
def toy() -> None:
    """Sliders on the toy problem; it is solved for anew while they are dragged."""
    st.subheader("Toy problem, live")
    st.markdown("Drag anything: the front is solved for again while you do.")
    left, right = st.columns([1, 2])
    with left:
        iterations = _slid("Iterations", range(301), 30, "pft_iterations")
        method = st.selectbox(
            "Method",
            ["decay", "constant", "adaptive", "averaged", "independent"],
            key="pft_method",
            format_func=METHOD_TITLES.__getitem__,
        )
        options = _options(method)
        lr = _slid("Learning rate", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5), 0.1, "pft_lr")
        solutions = _slid("Solutions", range(2, 41), 10, "pft_solutions")
        seed = _slid("Seed of the starts", range(10), 0, "pft_seed")
        scalarization = st.selectbox(
            "Scalarization",
            ["tchebycheff", "smooth_tchebycheff", "weighted_sum"],
            key="pft_scalarization",
        )
    table = _toy(method, scalarization, solutions, lr, max(iterations, 1), seed, options)
    if iterations == 0:
        table = table[table["step"] == 0]
    other = _toy("independent", scalarization, solutions, lr, max(iterations, 1), seed, ())
    if iterations == 0:
        other = other[other["step"] == 0]
    with right:
        found = {METHOD_TITLES["independent"]: other}
        if method != "independent":
            found[METHOD_TITLES[method]] = table
        _toy_chart(found, "pf_toy", trails=True)
        ideal = _true_hypervolume()
        words = [f"{name} **{views.hypervolume(rows):.4f}**" for name, rows in found.items()]
        st.markdown(f"Hypervolume: {', '.join(words)}; the true front has {ideal:.4f}.")


def _options(method: str) -> tuple[tuple[str, float], ...]:
    options: tuple[tuple[str, float], ...] = ()
    if method in ("constant", "decay"):
        strengths = [place / 20 for place in range(19)]
        options = (("strength", _slid("Strength", strengths, 0.5, "pft_strength")),)
    if method == "decay":
        halving = _slid("Halved after", range(1, 201), 10, "pft_halving")
        options += (("halving", float(halving)),)
    return options


N = TypeVar("N", int, float)


def _slid(label: str, values: Sequence[N], usual: N, name: str) -> N:
    """A slider over these values; what it shows is kept in the session under its name."""
    value: N = st.session_state.get(name, usual)

    def take(place: int, _: bool) -> None:
        st.session_state[name] = values[place]

    slider.slider(
        label,
        [f"{one:g}" for one in values],
        values.index(value),
        key=f"{name}_slider",
        on_slide=take,
    )
    return value


@st.cache_data(max_entries=200, show_spinner=False)
def _toy(
    method: str,
    scalarization: str,
    solutions: int,
    lr: float,
    iterations: int,
    seed: int,
    options: tuple[tuple[str, float], ...],
) -> pd.DataFrame:
    """Cached, so that a slider that returns to a place shows its front at once."""
    return views.solve_toy(method, scalarization, solutions, lr, iterations, seed, options)


@st.cache_data(max_entries=1, show_spinner=False)
def _true_hypervolume() -> float:
    return views.true_hypervolume(TOY)


def _toy_chart(found: dict[str, pd.DataFrame], key: str, *, trails: bool = False) -> None:
    problem = problems.get("toy")
    named = {style.label: style for style in style_methods(METHOD_ORDER)}
    rest = style_methods(list(found))
    styles = [named.get(name, other) for name, other in zip(found, rest, strict=True)]
    known = views.true_front(TOY)
    points, ways = [], []
    for name, table in found.items():
        last = table[table["step"] == table["step"].max()]
        words = [""] * len(last)
        points.append(last.assign(curve=name, preference=words, chosen=False))
        ways.append(table.assign(curve=name))
    titles = [objective.title for objective in problem.objectives]
    chart = front_chart(
        pd.concat(points),
        styles,
        x_title=f"loss of {titles[0].lower()}",
        y_title=f"loss of {titles[1].lower()}",
        domain_x=(0.0, 1.05),
        domain_y=(0.0, 1.05),
        reference=(1.0, 1.0),
        front=pd.DataFrame({"x": known[:, 0], "y": known[:, 1]}),
        trails=pd.concat(ways) if trails else None,
        name=key,
    )
    figures.draw(
        chart,
        key=key,
        on_select="rerun",
        alt=front_alt(styles, x_title=titles[0], y_title=titles[1]),
    )
