"""What the pages share: the store and artifacts behind them, and how numbers are worded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import altair as alt
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mtl_core import factors, settings
from mtl_core.analysis import Comparison
from mtl_core.charts import (
    Curve,
    CurveKey,
    generalization_alt,
    generalization_chart,
    over_epochs_alt,
    over_epochs_chart,
    over_loss_alt,
    over_loss_chart,
    style_curves,
)
from mtl_core.data import downloads, sources
from mtl_core.direction import Direction
from mtl_core.errors import InputError, StoreError
from mtl_core.runs import Answers, Artifact, Store
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answer
from mtl_core.runs.library.artifacts import scan
from mtl_core.views.panel import Panel
from mtl_core.views.what_if import kind
from pages.parts import arrival, words

P = ParamSpec("P")
METRIC = "test accuracy E"


@dataclass(frozen=True)
class Measure:
    """How the values of a task's metric are called and written."""

    title: str
    share: bool
    direction: Direction

    @property
    def format(self) -> str:
        """For charts: a share is drawn by its error."""
        return "%" if self.share else ".3~g"

    def value(self, value: float) -> str:
        """A value of the metric."""
        return "–" if value != value else f"{value:.1%}" if self.share else f"{value:.3g}"

    def delta(self, value: float | None) -> str:
        """A difference of two values: of shares in percentage points."""
        if self.share or value is None or value != value:
            return points(value)
        return f"{value:+.3g}"


_MEASURES = {
    "accuracy": ("test accuracy E", True),
    "mean_iou": ("test mean IoU E", True),
    "matthews": ("test Matthews correlation E", False),
    "pearson": ("test Pearson correlation E", False),
    "absolute_error": ("test absolute error E", False),
}


def measure(setting: str, task: str) -> Measure:
    """How a task's metric is called and written."""
    known = settings.get(setting).task(task)
    title, share = _MEASURES[known.metric]
    return Measure(title, share, known.direction)


ORIGINS = {"own": "this store", "imported": "imported", "shipped": "shipped"}

BADGES = {
    "can explain": ("green", ":material/check:"),
    "cannot explain": ("red", ":material/close:"),
    "nothing to explain": ("gray", ":material/remove:"),
    "not measured": ("gray", ":material/pending:"),
}


@st.cache_resource(max_entries=1, show_spinner=False)
def _shipped() -> tuple[dict[str, Artifact], list[str]]:
    return scan()


@st.cache_resource(max_entries=1, ttl=60, show_spinner=False)
def _store() -> tuple[Store | None, str | None]:
    try:
        store = Store()
    except StoreError as error:
        return None, str(error)
    return store, store.notice


def errors_in_words(draw: Callable[P, None]) -> Callable[P, None]:
    """What cannot be done shows as a line on the page, a store that broke under it included."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        arrival.through_app(draw)
        try:
            draw(*args, **kwargs)
        except InputError as error:
            words.tell("error", str(error), icon=":material/error:")

    return drawn


def answers(*, tell: bool = True) -> Answers:
    """The store and all artifacts.

    Args:
        tell: whether what is wrong with any of them is said on the page.
    """
    store, problem = _store()
    shipped, skipped = _shipped()
    imported, damaged = exchange.imported()
    if problem and tell:
        words.tell("warning", problem, icon=":material/database_off:")
    for line in [*skipped, *damaged] if tell else ():
        words.tell("warning", f"Skipped: {line}", icon=":material/broken_image:")
    return Answers(store, shipped, imported)


def origins(answer: Answer) -> str:
    """Where an answer's runs come from, in words."""
    return ", ".join(ORIGINS[origin] for origin in answer.origins) or "–"


def download(source: str, tick: float) -> None:
    """Offers to fetch a data set that is not here but public; shows how far that is.

    Args:
        tick: seconds between looks at the progress.
    """
    if sources.state(source).state != "downloadable":
        return
    current = downloads.progress(source)
    if current is None or not current.running:
        if current is not None and current.error:
            words.tell("error", current.error)
        title = sources.title(source)
        if st.button(f"Download {title}", icon=":material/download:", key=f"download_{source}"):
            downloads.start(source)
            st.rerun()
        return

    @st.fragment(run_every=tick)
    def bar() -> None:
        now = downloads.progress(source)
        if now is None or not now.running:
            st.rerun()
        st.progress(now.share, text=f"Downloading … {now.share:.0%}")

    bar()


def curves(panel: Panel, others: Sequence[CurveKey] = ()) -> list[Curve]:
    """How each shown run is drawn, the same on every page; ``others`` get what is left."""
    own = [CurveKey(one.label, kind(one.config), one.pinned) for one in panel.shown]
    return style_curves([*own, *others])


def hero(panel: Panel, styled: Sequence[Curve], *, per_seed: bool, key: str) -> None:
    """Generalization against training loss. Zoom and legend pick survive live updates."""
    target = panel.baseline.config.target
    metric = panel_measure(panel)
    chart: alt.LayerChart = generalization_chart(
        panel.settled,
        styled,
        task=target,
        metric_title=metric.title,
        metric_format=metric.format,
        per_seed=per_seed,
        name=key,
    )
    st.altair_chart(
        chart,
        key=key,
        on_select="rerun",  # else a live update would undo zoom and legend pick
        alt=generalization_alt(styled, task=target, metric_title=metric.title),
    )


def panel_measure(panel: Panel) -> Measure:
    """How the metric of a panel's target is called and written."""
    return measure(panel.baseline.config.setting, panel.baseline.config.target)


def points(share: float | None) -> str:
    """A difference of accuracies in percentage points."""
    return "–" if share is None or share != share else f"{100 * share:+.1f} pt"


def verdict(comparison: Comparison | None) -> dict[str, Any]:
    """The arguments of st.metric that say whether a difference counts."""
    if comparison is None:
        return {"delta": "not yet", "delta_color": "gray", "delta_arrow": "off"}
    colour = {"better": "green", "worse": "red"}.get(comparison.verdict, "gray")
    arrow = {"better": "up", "worse": "down"}.get(comparison.verdict, "off")
    return {"delta": comparison.verdict, "delta_color": colour, "delta_arrow": arrow}


def title(column: str) -> str:
    """A factor's title; another quantity's name as it is."""
    return factors.get(column).title if column in factors.names() else column


def capitalised(words: str) -> str:
    """The same words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def factor_chart(
    panel: Panel, styled: Sequence[Curve], factor: str, *, x: str, key: str, place: DeltaGenerator
) -> None:
    """A factor of the target against its training loss or against epochs."""
    target, shown = panel.baseline.config.target, factors.get(factor)
    drawn: dict[str, Any] = {
        "column": factor,
        "task": target,
        "title": shown.title,
        "log_y": shown.log_axis,
        "height": 220,
        "name": key,
    }
    if x == "loss":
        chart = over_loss_chart(panel.settled, styled, **drawn)
        alt = over_loss_alt(styled, task=target, title=shown.title)
    else:
        chart = over_epochs_chart(panel.settled, styled, **drawn)
        alt = over_epochs_alt(styled, task=target, title=shown.title)
    # The axis is part of the key: another one is another chart, not the same with other data.
    place.altair_chart(chart, key=f"{key}_{x}", on_select="rerun", alt=alt)


def verdicts(panel: Panel) -> None:
    """What the paper's rule says about each factor, with what refutes it."""
    st.markdown("**Can a factor explain the transfers on this page?**")
    nothing = _nothing(panel)
    for found in panel.verdicts():
        colour, icon = BADGES[found.outcome]
        name = title(found.factor)
        why = {
            "can explain": "changes with every significant transfer as it should",
            "cannot explain": "; ".join(found.reasons),
            "nothing to explain": nothing,
            "not measured": "not known at comparable loss for every significant transfer, or on "
            "too few seeds",
        }[found.outcome]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(f"{name} {found.outcome}", icon=icon, color=colour)  # type: ignore[arg-type]
            st.caption(words.escaped(why))
    st.caption(
        "The paper's rule: positive transfer must come with a significant decrease of the factor, "
        "negative transfer with an increase, for every run whose transfer is significant."
    )


def _nothing(panel: Panel) -> str:
    """Why there is nothing to explain: a finding, or not one yet."""
    cases = [panel.transfer(one) for one in panel.shown if panel.comparable(one)]
    if any(case is not None and case.verdict != "too few seeds" for case in cases):
        return "no transfer on this page is significant"
    return "no transfer here can be called significant yet; that takes two runs of two seeds"


def _glossary(about: str) -> str:
    """``about``, with a paragraph on each factor where it says so."""
    each = [factors.get(name) for name in factors.names()]
    told = [f"**{capitalised(factor.title)}.** {factor.about}" for factor in each]
    return about.replace("(factors)", "\n\n".join(told))


FACTORS_GLOSSARY = _glossary(r"""
All are measured on the target's training data with respect to the shared encoder's parameters
$\theta$. For the first three, the paper takes lower for better.

(factors)

**Comparable loss.** Factors shrink with the loss, so runs are compared inside one range of training
loss: early (bins 2–5 of 20) for Fisher, at the end (bins 18–20 of the run that ends higher) for
sharpness and covariance.

Source: Mueller, Dredze & Andrews 2024, §4, §5, App. C.
""")

GLOSSARY = r"""
**Generalization gap.** The difference in test metric $E_k$ between two trajectories *at the same
training loss* $L_k$, measured on the whole training set, not on a batch. Read the chart from left
to right: where two bands part, networks that fit their training data equally well have begun to
generalize differently.

**Transfer.** $\Delta E_k = E_k(\text{MTL}) - E_k(\text{STL})$ on test data. $E_k$ of a seed is its
test metric at its best validation checkpoint so far.

**Significant** (the paper's rule): the intervals mean ± 2 standard deviations over seeds do not
overlap. *Better* and *worse* are said only then.

Source: Mueller, Dredze & Andrews 2024, §2, §3 and App. C. Between checkpoints the metric is
interpolated linearly in log loss, along the running minimum of the loss.
"""
