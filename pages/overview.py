"""Overview: the phenomenon, from artifacts, with nothing to set up."""

import math

import streamlit as st

from mtl_core import RunConfig, factors, settings
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.views import comparisons, phrases
from mtl_core.views.comparisons import alike
from mtl_core.views.panel import Panel, build
from mtl_core.views.what_if import Question, named
from pages.parts import common, hyperparameters, papers, words
from pages.parts.words import escaped

MOST_SETS = 4  # of auxiliaries, whose curves can still be told apart


@common.errors_in_words
def main() -> None:
    st.title("At the same training loss, why does one network generalize better?")
    # What a user trained or brought is shown on other pages.
    answers = Answers(None, common.answers().shipped)
    shown = {name: found for name in settings.names() if (found := _runs(name, answers))}
    if not shown:
        st.info("No artifact ships with this copy. Train a run on What if.")
        return
    first = "fashion" if "fashion" in shown else next(iter(shown))
    name = st.segmented_control(
        "Setting",
        list(shown),
        key="overview_setting",
        bind="query-params",
        default=first,
        required=True,
        format_func=lambda name: settings.get(name).title,
        label_visibility="collapsed",
    )
    setting = settings.get(name or first)
    preset, runs = shown[setting.name]
    panel = build([runs[0].config], runs[1:], answers)
    _cards(panel)
    common.hero(panel, common.curves(panel), per_seed=False, key=f"overview_{setting.name}")
    st.caption(
        f"**Where do the curves part?** Each is a network trained on {panel.baseline.config.target}"
        " alone, or together with other tasks. Same loss on the left and on the right means the "
        "same fit to the training data; bands are ±2 standard deviations over "
        f"{len(panel.baseline.config.seeds)} seeds. {setting.description}"
    )
    papers.source([one.answer for one in panel.shown])
    _next(panel, preset)
    _factors(panel)
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(common.GLOSSARY)
        st.markdown(common.FACTORS_GLOSSARY)
    with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
        _computed(panel)


def _runs(setting: str, answers: Answers) -> tuple[str, list[Answer]] | None:
    """At the largest budget shipped: the single task, and it with as few others as there are."""
    for preset in ("paper", "standard", "quick"):
        base = RunConfig.from_preset(setting, preset)
        single = answers.find_id(base.id)
        together = [
            answer
            for answer in alike(base, answers)
            if answer.config.auxiliaries
            and (answer.config.optimizer, answer.config.options) == (base.optimizer, ())
        ]
        if single is None or not together:
            continue
        least = min(len(answer.config.auxiliaries) for answer in together)
        few = [answer for answer in together if len(answer.config.auxiliaries) == least]
        order = {task.name: number for number, task in enumerate(settings.get(setting).tasks)}
        few.sort(key=lambda answer: [order[name] for name in answer.config.auxiliaries])
        return preset, [single, *few[:MOST_SETS]]
    return None


def _cards(panel: Panel) -> None:
    cards = st.container(horizontal=True)
    measure, base = common.panel_measure(panel), panel.baseline
    alone = panel.reached(base)
    cards.metric(
        "Single task",
        measure.value(sum(alone) / len(alone) if alone else math.nan),
        delta=measure.title.removesuffix(" E"),
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help="At the best validation epoch, mean over seeds.",
    )
    for one in panel.shown[1:]:
        comparison = panel.transfer(one)
        cards.metric(
            f"Transfer from {named(one.config)}",
            measure.delta(comparison.delta if comparison else None),
            border=True,
            help=common.sureness(comparison),
            **common.verdict(comparison, measure),
        )


def _factors(panel: Panel) -> None:
    """Fig. 3: the factors along the same trajectories."""
    st.subheader("Do sharpness, Fisher information or gradient covariance say why?")
    styled = common.curves(panel)
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


def _next(panel: Panel, preset: str) -> None:
    config = panel.baseline.config
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
