"""The Library page's fronts: where they come from, and their way out."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from mtl_core import InputError
from mtl_core.pareto import problems
from mtl_core.runs.front_answers import FrontAnswer, FrontAnswers
from mtl_core.runs.library import exchange
from mtl_core.views.front_question import METHOD_TITLES, FrontQuestion
from pages.parts import common

__all__ = ["section"]


def section() -> None:
    """A table of all fronts; chosen ones can be opened, exported and deleted."""
    answers = common.front_answers(alone=False)
    found = _all(answers)
    st.subheader("Pareto fronts")
    for line in st.session_state.pop("library_fronts_failed", []):
        st.error(line, icon=":material/error:")
    if not found:
        st.caption("None yet; the Pareto front page solves for them.")
        return
    event = st.dataframe(
        pd.DataFrame([_row(one) for one in found]),
        key="library_fronts",
        hide_index=True,
        height=320 if len(found) > 8 else "auto",
        on_select="rerun",
        selection_mode="multi-row",
        alt="All Pareto fronts",
        column_config={"seconds": st.column_config.NumberColumn("duration", format="%.0f s")},
    )
    rows = [row for row in event["selection"]["rows"] if row < len(found)]
    chosen = [found[row] for row in rows]
    if not chosen:
        st.caption("Choose rows to open, export or delete them.")
        return
    _actions(chosen, answers)


def _all(answers: FrontAnswers) -> list[FrontAnswer]:
    """By problem and method; of a front that is here twice, the artifact."""
    found = [
        FrontAnswer(one.config, "artifact", artifact=one) for one in answers.artifacts.values()
    ]
    own = answers.store.fronts() if answers.store else []
    found += [
        FrontAnswer(record.config, "store", record=record)
        for record in own
        if record.id not in answers.artifacts
    ]
    return sorted(found, key=lambda one: (one.config.problem, one.config.method, one.config.id))


def _row(one: FrontAnswer) -> dict[str, object]:
    config, record = one.config, one.record
    seconds = record.seconds if record else one.manifest.get("duration_seconds")
    return {
        "problem": problems.get(config.problem).title,
        "method": METHOD_TITLES[config.method],
        "scalarization": config.scalarization,
        "solutions": config.solutions,
        "iterations": config.iterations,
        "seeds": " ".join(map(str, config.seeds)),
        "state": one.state,
        "source": common.ORIGINS[one.origin],
        "device": one.manifest.get("device", "–"),
        "created": str(one.manifest.get("created", "–"))[:10],
        "seconds": seconds,
        "run": config.id,
    }


def _actions(chosen: list[FrontAnswer], answers: FrontAnswers) -> None:
    done = [one for one in chosen if one.state == "done"]
    able = [one for one in chosen if one.origin in ("own", "imported") and one.state != "running"]
    with st.container(horizontal=True):
        if len(chosen) == 1:
            query = urlencode(FrontQuestion.of(chosen[0].config).to_query())
            st.link_button("Open", f"pareto_front?{query}", icon=":material/balance:")
        st.download_button(
            "Export",
            lambda: exchange.pack(done, answers),
            file_name="fronts.zip",
            mime="application/zip",
            icon=":material/download:",
            on_click="ignore",
            disabled=not done,
        )
        with st.popover("Delete", icon=":material/delete:", disabled=not able):
            fronts = f"{len(able)} front{'' if len(able) == 1 else 's'}"
            st.markdown(
                f"Their numbers are lost: {fronts} of yours. What ships with the app stays."
            )
            if st.button("Delete for ever", key="library_fronts_delete"):
                _delete(able, answers)
                st.rerun()


def _delete(able: list[FrontAnswer], answers: FrontAnswers) -> None:
    failed = []
    for one in able:
        try:
            if one.artifact is not None:
                exchange.remove(one.artifact.folder)
            elif answers.store is not None:
                answers.store.remove(one.config.id)
        except InputError as error:
            failed.append(str(error))
    st.session_state.library_fronts_failed = failed
