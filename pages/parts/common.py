"""What the pages share: the store and artifacts behind them, and how numbers are worded."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mtl_core import factors, settings
from mtl_core.analysis import MOST_NEEDED, Comparison, FactorVerdict
from mtl_core.charts import (
    CROWD,
    Curve,
    Frame,
    gap_strip_alt,
    gap_strip_drawing,
    generalization_drawing,
    over_epochs_alt,
    over_epochs_chart,
    over_loss_alt,
    over_loss_drawing,
)
from mtl_core.data import downloads, sources
from mtl_core.data.base import DataState
from mtl_core.errors import InputError, StoreError
from mtl_core.runs import Answers, Artifact, Store
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answer
from mtl_core.runs.library.artifacts import doubted, glance, scan
from mtl_core.views import measures
from mtl_core.views.figures import what_if
from mtl_core.views.measures import Measure
from mtl_core.views.panel import Panel
from mtl_core.views.phrases import capitalised, title
from mtl_core.views.turns import in_turn
from pages.parts import arrival, figures, visitors, words

P = ParamSpec("P")
ORIGINS = {"own": "this store", "imported": "imported", "shipped": "shipped"}

BADGES = {
    "can explain": ("blue", ":material/check:"),
    "moves the other way": ("orange", ":material/swap_vert:"),
    "no change found": ("gray", ":material/remove:"),
    "not enough to tell": ("gray", ":material/pending:"),
}


@st.cache_resource(max_entries=1, show_spinner=False)
def _shipped(doubted: int) -> tuple[dict[str, Artifact], list[str]]:
    """Looked at again when rows that were read turned out to be unsound."""
    return scan(read=glance)


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
        before = doubted()
        try:
            draw(*args, **kwargs)
        except InputError as error:
            if doubted() > before:
                st.rerun()  # without the artifact that cannot be shown, which is said
            words.tell("error", str(error), icon=":material/error:")

    return drawn


def answers(*, tell: bool = True) -> Answers:
    """The store and all artifacts.

    Args:
        tell: whether what is wrong with any of them is said on the page.
    """
    store, problem = _store()
    shipped, skipped = _shipped(doubted())
    imported, damaged = exchange.imported()
    if problem and tell:
        words.tell("warning", problem, icon=":material/database_off:")
    for line in [*skipped, *damaged] if tell else ():
        words.tell("warning", f"Skipped: {line}", icon=":material/broken_image:")
    return Answers(store, shipped, imported)


def origins(answer: Answer) -> str:
    """Where an answer's runs come from, in words."""
    return ", ".join(ORIGINS[origin] for origin in answer.origins) or "–"


def data_ready(setting: str, tick: float) -> bool:
    """Whether a setting's data is here; where it is not, says what to do about it.

    Args:
        tick: seconds between looks at a download's progress.
    """
    known = settings.get(setting)
    found = known.data_state()
    if found.state == "found":
        return True
    data_missing(found, known.sources, tick)
    return False


def data_missing(found: DataState, sources: Sequence[str], tick: float) -> None:
    """What to do about data that is not here; on a shared server that is for whoever runs it."""
    if visitors.shared():
        said = "The data for this is not on this server; whoever runs the server can add it."
        words.tell("warning", said, icon=":material/database_off:")
        return
    words.tell("warning", found.message, icon=":material/database_off:")
    for source in sources:
        download(source, tick)


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
    @in_turn
    def bar() -> None:
        now = downloads.progress(source)
        if now is None or not now.running:
            st.rerun()
        st.progress(now.share, text=f"Downloading … {now.share:.0%}")

    bar()


def hero(
    panel: Panel,
    styled: Sequence[Curve],
    *,
    per_seed: bool,
    key: str,
    frame: Frame | None = None,
) -> None:
    """Generalization against training loss. Zoom and legend pick survive live updates.

    Args:
        frame: what the axes show at least.
    """
    drawn = what_if.hero(
        panel,
        styled,
        made=generalization_drawing,
        per_seed=per_seed,
        name=key,
        frame=frame,
        live=panel.going,
    )
    figures.draw(
        drawn.chart,
        key=key,
        of=(panel.version, panel.going, per_seed, frame),
        form=_form(panel, styled, per_seed, frame is None),
        on_select="rerun",  # else a live update would undo zoom and legend pick
        alt=drawn.alt,
        canvas=crowded(panel, styled),
    )


def crowded(panel: Panel, styled: Sequence[Curve]) -> bool:
    """Whether many curves grow: nodes of hundreds of points cost more than the same as pixels."""
    return panel.going and len(styled) > CROWD


def _form(panel: Panel, styled: Sequence[Curve], *more: Hashable) -> Hashable:
    """What the specification of a panel's figures depends on."""
    config = panel.baseline.config
    return (config.setting, config.target, tuple(styled), panel.going, *more)


def strip(panel: Panel, styled: Sequence[Curve], *, key: str, frame: Frame) -> None:
    """The gap at each training loss, below the hero figure and to its horizontal scale."""
    if not any(map(panel.comparable, panel.shown)):
        return
    measure = panel_measure(panel)
    figures.draw(
        partial(
            gap_strip_drawing,
            panel.gap_curves,
            styled,
            title="gap (pt)" if measure.share else "gap",
            share=measure.share,
            losses=frame.losses,
        ),
        key=key,
        of=(panel.version, frame.losses),
        form=_form(panel, styled),
        canvas=crowded(panel, styled),
        alt=gap_strip_alt(styled[1:], task=panel.baseline.config.target),
    )


def panel_measure(panel: Panel) -> Measure:
    """How the metric of a panel's target is called and written."""
    return measures.measure(panel.baseline.config.setting, panel.baseline.config.target)


def verdict(
    comparison: Comparison | None, shown: Measure, *, so_far: bool = False
) -> dict[str, Any]:
    """The arguments of st.metric that say how sure a difference is.

    Args:
        comparison: None where there is none yet.
        shown: how its quantity is written.
        so_far: whether runs are still to come, so that nothing is decided.
    """
    if comparison is None:
        return {"delta": "not yet", "delta_color": "gray", "delta_arrow": "off"}
    said = "so far" if so_far else comparison.verdict
    known = comparison.verdict if not so_far else None
    colour = {"better": "green", "worse": "red"}.get(known or "", "gray")
    ends = measures.interval(comparison, shown)
    return {
        "delta": f"{ends} · {said}" if ends else said,
        "delta_color": colour,
        "delta_arrow": {"better": "up", "worse": "down"}.get(known or "", "off"),
    }


def sureness(comparison: Comparison | None, *, so_far: bool = False) -> str:
    """How a difference was judged, with the paper's own rule beside it."""
    if comparison is None:
        return "It takes a whole epoch of every run."
    if comparison.verdict == "too few seeds":
        return "An interval takes two seeds a side."
    how = (
        f"95 % interval of the difference over the {comparison.pairs} seeds that both have."
        if comparison.pairs
        else f"95 % interval by Welch, over {comparison.seeds} and {comparison.baseline_seeds} "
        "different seeds."
    )
    if comparison.family > 1:
        how += (
            f" *Better* and *worse* after Holm's correction for the {comparison.family} "
            "comparisons here."
        )
    if so_far:
        return f"{how} So far: runs are still to come, and nothing is decided before."
    how += f" The paper's ±2 SD: {comparison.paper}."
    more = comparison.more_seeds
    if more is None:
        return how
    if more >= MOST_NEEDED:
        return f"{how} A difference as small as this would take more than {MOST_NEEDED:,} seeds."
    return f"{how} About {more} more seed{'' if more == 1 else 's'} would settle it, if it stays."


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
        chart: Callable[[], Any] = partial(
            over_loss_drawing, panel.settled, styled, live=panel.going, **drawn
        )
        told = over_loss_alt
    else:
        chart = partial(over_epochs_chart, panel.settled, styled, **drawn)
        told = over_epochs_alt
    figures.draw(
        chart,
        # The axis is part of the key: another one is another chart, not the same with other data.
        key=f"{key}_{x}",
        of=(panel.measured(factor), _form(panel, styled)),
        form=_form(panel, styled),
        place=place,
        on_select="rerun",
        canvas=crowded(panel, styled),
        alt=partial(
            told,
            styled,
            task=target,
            title=shown.title,
            trajectories=None if panel.going else panel.settled,
            column=factor,
        ),
    )


def verdicts(panel: Panel) -> None:
    """Whether each factor can explain the transfers on a page, and what an answer would take."""
    st.markdown("**Can a factor explain the transfers on this page?**")
    if panel.going:
        st.caption("Decided when all runs on the page are done.")
        return
    for found in panel.verdicts:
        with st.container(horizontal=True, vertical_alignment="center"):
            factor_badge(found)
            st.caption(words.escaped(because(found)))
    st.caption(
        "Positive transfer must come with a decrease of the factor, negative transfer with an "
        "increase. A factor is ruled out by moving the other way; that no change was found rules "
        "out nothing."
    )


def factor_badge(found: FactorVerdict) -> None:
    """What was found of a factor, in a few words."""
    colour, icon = BADGES[found.outcome]
    st.badge(f"{title(found.factor)}: {found.outcome}", icon=icon, color=colour)  # type: ignore[arg-type]


def because(found: FactorVerdict, most: int | None = None) -> str:
    """Why a factor's verdict is what it is, in one line, by at most so many reasons."""
    if found.outcome == "can explain":
        return "changes with every significant transfer as it should"
    reasons = found.missing or found.reasons
    more = len(reasons[most:]) if most else 0
    return "; ".join([*reasons[:most], *([f"and {more} more"] if more else [])])


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

**Transfer.** $\Delta E_k = E_k(\text{MTL}) - E_k(\text{STL})$ on test data: multi-task less
single-task learning. $E_k$ of a run is its test metric at its best validation epoch; only whole
epochs count.

**Better, worse.** The difference is taken seed by seed, over the seeds that both curves have: the
same start and the same batches. *Better* and *worse* are said where its 95 % interval (Student's t)
leaves out 0, after Holm's correction where several differences are judged together, and not before
all runs are done. The paper's own rule, that the intervals mean ± 2 standard deviations over seeds
do not overlap, stands beside it under its name: with three seeds it sees differences of about four
standard deviations only, and more seeds do not help it.

Source: Mueller, Dredze & Andrews 2024, §2, §3 and App. C. Between checkpoints the metric is
interpolated linearly in log loss, along the running minimum of the loss.
"""
