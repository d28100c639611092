"""Overview: the phenomenon, from artifacts, with nothing to set up."""

import streamlit as st

from mtl_core import RunConfig, settings
from mtl_core.runs.answers import Answers, other_data
from mtl_core.runs.panel import Panel, build
from mtl_core.runs.question import Question
from mtl_core.trajectory import FACTORS
from pages import _common


@_common.errors_in_words
def main() -> None:
    st.title("At the same training loss, why does one network generalize better?")
    answers = _common.answers()
    name = st.segmented_control(
        "Setting",
        settings.names(),
        key="overview_setting",
        bind="query-params",
        default="fashion",
        required=True,
        format_func=lambda name: settings.get(name).title,
        label_visibility="collapsed",
    )
    setting = settings.get(name or "fashion")
    panel, preset = _panel(setting, answers)
    if panel is None:
        st.info(f"No artifact of {setting.title} ships with this copy. Train one on What if.")
        return
    _cards(panel)
    _common.hero(panel, _common.curves(panel), per_seed=False, key=f"overview_{setting.name}")
    st.caption(
        f"**Where do the curves part?** Each is a network trained on {panel.baseline.config.target}"
        " alone, or together with one more task. Same loss on the left and on the right means the "
        "same fit to the training data; bands are ±2 standard deviations over "
        f"{len(panel.baseline.config.seeds)} seeds. {setting.description}"
    )
    _next(panel, preset)
    _factors(panel)
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(_common.GLOSSARY)
        st.markdown(_common.FACTORS_GLOSSARY)
    with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
        _computed(panel)


def _panel(setting: settings.Setting, answers: Answers) -> tuple[Panel | None, str]:
    """Single task, and each other task as the only auxiliary, at the largest budget shipped."""
    for preset in ("paper", "standard", "quick"):
        base = RunConfig.from_preset(setting.name, preset)
        others = [task.name for task in setting.tasks if task.name != base.target]
        configs = [
            RunConfig.from_preset(setting.name, preset, auxiliaries=(other,)) for other in others
        ]
        found = [answers.find(config) for config in (base, *configs)]
        if all(answer.artifact is not None for answer in found):
            return build([base], found[1:], answers), preset
    return None, "quick"


def _cards(panel: Panel) -> None:
    cards = st.container(horizontal=True)
    score = panel.trajectories[
        (panel.trajectories["curve"] == panel.baseline.label)
        & (panel.trajectories["role"] == "target")
    ]
    final = score[score["step"] == score["step"].max()]["test_metric"].mean()
    cards.metric(
        "Single task",
        f"{final:.1%}",
        delta=f"test accuracy after {panel.baseline.config.epochs} epochs",
        delta_color="gray",
        delta_arrow="off",
        border=True,
    )
    for one in panel.shown[1:]:
        comparison = panel.transfer(one)
        cards.metric(
            f"Transfer from {' + '.join(one.config.auxiliaries)}",
            _common.points(comparison.delta if comparison else None),
            border=True,
            **_common.verdict(comparison),
        )


def _factors(panel: Panel) -> None:
    """Fig. 3: the factors along the same trajectories."""
    st.subheader("Do sharpness, Fisher information or gradient covariance say why?")
    styled = _common.curves(panel)
    setting = panel.baseline.config.setting
    for place, factor in zip(st.columns(3), FACTORS[:3], strict=True):
        _common.factor_chart(
            panel, styled, factor, x="loss", key=f"overview_{setting}_{factor}", place=place
        )
    st.caption(
        "**Which curve is lowest at equal training loss?** If a factor explained transfer, the "
        "helpful auxiliary's would run below the single task's and the harmful one's above."
    )
    _common.verdicts(panel)


def _next(panel: Panel, preset: str) -> None:
    config = panel.baseline.config
    question = Question(config.setting, config.target, preset=preset).to_query()
    everything = " ".join(one.config.run for one in panel.shown[1:])
    with st.container(horizontal=True):
        st.page_link(
            "pages/what_if.py",
            label="What if both are added at once?",
            icon=":material/experiment:",
            query_params=question | {"aux": everything},
        )


def _computed(panel: Panel) -> None:
    config = panel.baseline.config
    st.markdown(
        f"Trained by `python -m mtl_core precompute plans/overview.toml`: {config.base_optimizer}, "
        f"learning rate {config.lr:g}, batch {config.batch_size} per task, {config.epochs} epochs, "
        f"{config.train_size:,} training examples per task, encoder width {config.width}, seeds "
        f"{' '.join(map(str, config.seeds))}. Multi-task runs follow the sum of task gradients "
        "(UMTG) for as many steps as the single task."
    )
    for factor, how in panel.baseline.answer.manifest.get("factors", {}).items():
        st.markdown(f"- **{_common.FACTOR_TITLES.get(factor, factor)}**: {how}")
    for one in panel.shown:
        manifest = one.answer.manifest
        st.markdown(
            f"- **{one.label}**: {manifest['kind']} on {manifest['device']} with torch "
            f"{manifest['versions']['torch']}, {manifest['created'][:10]}, data fingerprint "
            f"`{manifest['data_fingerprint']}`, run `{one.config.id}`"
        )
        if line := other_data(one.answer):
            st.warning(f"{one.label}: {line}")


main()
