"""Overview: the phenomenon, from artifacts, with nothing to set up."""

import math
from collections.abc import Mapping

import streamlit as st

from mtl_core import factors, settings
from mtl_core.runs.library.answers import other_data
from mtl_core.views import comparisons, overview, phrases, smtos
from mtl_core.views.figures import overview as drawn
from mtl_core.views.figures.what_if import curves
from mtl_core.views.panel import Panel
from mtl_core.views.phrases import capitalised
from mtl_core.views.what_if import Question
from pages.parts import (
    buttons,
    common,
    exports,
    figures,
    hyperparameters,
    papers,
    stage,
    words,
)
from pages.parts.words import escaped


@common.errors_in_words
def main() -> None:
    stage.title(drawn.TITLE)
    if stage.shows("notes"):
        st.markdown(
            "**Multi-task learning** trains one network on several tasks at once. Some company "
            "helps and some harms, and how well the network fits its training data does not tell "
            "which."
        )
    answers = common.answers()
    there = drawn.there(answers)
    if not there:
        st.info("No artifact ships with this copy. Train a run on What if.")
        return
    first = drawn.first(there)
    alone = stage.now().show == "figure"
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if not alone:
            _try_it()
        name = st.segmented_control(
            "Setting",
            list(there),
            key="overview_setting",
            bind="query-params",
            default=first,
            required=True,
            format_func=lambda name: settings.get(name).title,
            label_visibility="collapsed",
        )
    setting = settings.get(name or first)
    panel = drawn.looked_up(there[setting.name], answers)
    if stage.shows("cards"):
        _cards(panel, overview.names(panel))
    key = f"overview_{setting.name}"
    hero = drawn.marked(panel, name=key, **stage.heights(380))
    figures.draw(hero.chart, key=key, of=(panel.version, alone), on_select="rerun", alt=hero.alt)
    if alone:
        return
    query = {"overview_setting": setting.name}
    exports.offer("overview", query, answers, title=drawn.TITLE, parts=("cards", "looks", "notes"))
    stage.note(
        "**Where do the curves part?** At one place on the horizontal axis all networks fit their "
        "training data equally well. A bracket marks the gap there: how much better, or worse, "
        "one of them does on data that it has not seen, the test accuracy E; the numbers above "
        "compare each network at its best. Bands are ±2 standard deviations over "
        f"{len(panel.baseline.config.seeds)} networks each. {setting.description}"
    )
    papers.source([one.answer for one in panel.shown])
    if stage.shows("notes"):
        _next(panel)
    if stage.shows("looks"):
        _factors(panel)
    if stage.shows("notes"):
        with st.expander("What the words mean", icon=":material/menu_book:"):
            st.markdown(common.GLOSSARY)
            st.markdown(common.FACTORS_GLOSSARY)
        with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
            _computed(panel)


def _cards(panel: Panel, names: Mapping[str, str]) -> None:
    cards = st.container(horizontal=True)
    measure, base = common.panel_measure(panel), panel.baseline
    alone = panel.reached(base)
    cards.metric(
        capitalised(names[base.label]),
        measure.value(sum(alone) / len(alone) if alone else math.nan),
        delta=measure.title.removesuffix(" E"),
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help=f"{overview.about(base.config)} At the best validation epoch, mean over seeds.",
    )
    for one in panel.shown[1:]:
        comparison = panel.transfer(one)
        cards.metric(
            capitalised(names[one.label]),
            measure.delta(comparison.delta if comparison else None),
            border=True,
            help=f"{overview.about(one.config)} {common.sureness(comparison)}",
            **common.verdict(comparison, measure),
        )


def _try_it() -> None:
    """One way on, which trains on this machine with nothing to download."""
    if st.button(
        "Try it yourself",
        type="primary",
        icon=":material/play_arrow:",
        help="Trains six small networks here and now, in seconds, before your eyes.",
    ):
        buttons.run_on_arrival()
        question = overview.try_it(common.answers(tell=False))
        st.switch_page("pages/what_if.py", query_params=question.to_query())


def _factors(panel: Panel) -> None:
    """Fig. 3: the factors along the same trajectories."""
    st.subheader("Do sharpness, Fisher information or gradient covariance say why?")
    styled = curves(panel)
    setting = panel.baseline.config.setting
    for place, factor in zip(st.columns(3), factors.explaining(), strict=True):
        common.factor_chart(
            panel, styled, factor, x="loss", key=f"overview_{setting}_{factor}", place=place
        )
    st.caption(
        "**Which curve is lowest at equal training loss?** If a factor explained transfer, the "
        "helpful auxiliary's would run below the single task's and the harmful one's above."
    )
    common.verdicts(panel)


def _next(panel: Panel) -> None:
    config = panel.baseline.config
    preset = smtos.nearest_preset(config)
    question = Question(config.setting, config.target, preset=preset).to_query()
    together = dict.fromkeys(name for one in panel.shown for name in one.config.auxiliaries)
    asked = "What if both are added at once?" if len(together) == 2 else "What if others are added?"
    with st.container(horizontal=True):
        st.page_link(
            "pages/what_if.py",
            label=asked,
            icon=":material/experiment:",
            query_params=question | {"aux": " ".join(together)},
        )


def _computed(panel: Panel) -> None:
    config = panel.baseline.config
    st.markdown(
        f"{config.base_optimizer.capitalize()}, encoder width {config.width}, seeds "
        f"{' '.join(map(str, config.seeds))}. Multi-task runs follow the sum of task gradients "
        "(UMTG) for as many steps as the single task."
    )
    hyperparameters.chosen(config, "overview")
    if less := comparisons.reduced(config, measuring=True):
        st.markdown(f"Smaller than the paper's setup: {less}.")
    for factor, how in panel.baseline.answer.factors.items():
        st.markdown(f"- **{escaped(phrases.title(factor))}**: {escaped(str(how))}")
    for one in panel.shown:
        answer = one.answer
        told = escaped(
            f"{answer.numbers} on {answer.said('device')} with torch "
            f"{answer.versions.get('torch', '–')}, {answer.said('created')[:10]}, data fingerprint "
            f"{answer.said('data_fingerprint')}"
        )
        st.markdown(f"- **{one.label}**: {told}, run `{one.config.id}`")
        if line := other_data(one.answer):
            words.tell("warning", f"{one.label}: {line}")


main()
