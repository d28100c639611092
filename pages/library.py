"""Library: all runs there are, where their numbers come from, and their way in and out."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import InputError, optimizers, settings
from mtl_core.charts import (
    CurveKey,
    generalization_alt,
    generalization_chart,
    style_curves,
)
from mtl_core.charts.export import figure_png, figure_svg
from mtl_core.cli import command_line
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.launch import tend
from mtl_core.views import library, smtos
from mtl_core.views.library import SINGLE, SOURCES, STATES, Entry, Search
from mtl_core.views.question import kind
from pages.parts import common, library_fronts

MOST_CURVES = 24  # runs that are drawn, compared and described below the table
MOST_NAMED = 10  # in the dialog that asks before they are deleted
BACK = {"own": "on this machine", "imported": "imported", "shipped": "shipped with the app"}


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    found = library.entries(answers)
    if answers.store is not None and any(entry.answer.active for entry in found):
        # A run whose worker died is not running, and one that waits needs a worker.
        if problem := tend(answers.store):
            st.warning(problem, icon=":material/engineering:")
        found = library.entries(answers)
    search = _search(found)
    with st.sidebar:
        _filters(search, found)
    st.title("Which runs are there, and where do their numbers come from?")
    for problem in st.session_state.pop("library_problems", []):
        st.warning(common.escaped(problem), icon=":material/link_off:")
    for line in st.session_state.pop("library_failed", []):
        st.error(line, icon=":material/error:")
    for line in st.session_state.pop("library_told", []):
        st.success(line, icon=":material/check:")
    shown = [entry for entry in found if search.passes(entry)]
    _summary(found, shown, search, answers)
    _table(shown, search)
    by_key = {entry.key: entry for entry in found}
    chosen = [by_key[key] for key in search.chosen if key in by_key]
    if chosen:
        _chosen(chosen, shown, search, answers)
    else:
        st.caption("Choose rows to compare, export or delete them.")
    library_fronts.section()
    _broken(answers)


# The search: kept in the session, written to the URL, changed by callbacks only.


def _search(found: Sequence[Entry]) -> Search:
    query = st.query_params.to_dict()
    if "library" not in st.session_state or (query and query != st.session_state.get("lib_url")):
        st.session_state.library = Search()
        if query:
            searched, st.session_state.library_problems = Search.from_query(query, found)
            st.session_state.library = searched
    search: Search = st.session_state.library
    gone = {*search.chosen} - {entry.key for entry in found}
    if gone:  # deleted, by somebody else too
        search = st.session_state.library = search.without(gone)
    _to_url(search)
    return search


def _to_url(search: Search) -> None:
    common.to_url(search.to_query(), "lib_url")


def _ask(search: Search) -> None:
    st.session_state.library = search
    _to_url(search)


def _change(**changes: Any) -> None:
    _ask(replace(st.session_state.library, **changes))


def _filters(search: Search, found: Sequence[Entry]) -> None:
    st.subheader("The runs")
    st.session_state.library_text = search.text
    st.text_input(
        "Search",
        key="library_text",
        max_chars=100,
        icon=":material/search:",
        placeholder="task, optimizer, device, id …",
        on_change=lambda: _change(text=" ".join(st.session_state.library_text.split())),
    )
    there = {entry.config.setting for entry in found} | {*search.setting}
    _some("Setting", "setting", search, [n for n in settings.names() if n in there], _setting)
    _some("Target task", "target", search, _targets(search, found), str)
    known = {entry.config.optimizer for entry in found if entry.config.auxiliaries}
    names = [n for n in optimizers.names() if n in known or n in search.optimizer]
    _some("Optimizer", "optimizer", search, [SINGLE, *names], _optimizer)
    _some("Source", "source", search, list(SOURCES), str)
    _some("State", "state", search, list(STATES), str)
    if search.filtered:
        st.button(
            "Show all runs",
            icon=":material/filter_alt_off:",
            on_click=lambda: _ask(st.session_state.library.unfiltered),
        )


def _some(label: str, name: str, search: Search, choices: list[str], title: Any) -> None:
    """One filter: any of some values."""
    st.session_state[f"library_{name}"] = list(getattr(search, name))
    st.multiselect(
        label,
        choices,
        key=f"library_{name}",
        format_func=title,
        placeholder="all",
        on_change=lambda: _change(**{name: tuple(st.session_state[f"library_{name}"])}),
    )


def _setting(name: str) -> str:
    return settings.get(name).title


def _optimizer(name: str) -> str:
    return "single task" if name == SINGLE else optimizers.rule(name).title


def _targets(search: Search, found: Sequence[Entry]) -> list[str]:
    there = {
        entry.config.target
        for entry in found
        if not search.setting or entry.config.setting in search.setting
    }
    return sorted(there | {*search.target})


# The table.


def _summary(
    found: Sequence[Entry], shown: Sequence[Entry], search: Search, answers: Answers
) -> None:
    counts = Counter(entry.source for entry in found)
    words = ", ".join(f"{counts[source]} {source}" for source in SOURCES if counts[source])
    passing = f"; {len(shown)} pass the filters" if search.filtered else ""
    active = [entry for entry in found if entry.answer.active]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_count(len(found), 'run')}**: {words or 'none yet'}{passing}.")
        _import(answers)
        if active:
            number = _count(len(active), "run")
            st.button(f"{number} in the queue or training", icon=":material/refresh:")


def _table(shown: Sequence[Entry], search: Search) -> None:
    if not shown:
        st.info("No run passes these filters.", icon=":material/filter_alt:")
        return
    # Chosen rows are shown by the search, which is the only state there is.
    place = {entry.key: row for row, entry in enumerate(shown)}
    rows = [place[key] for key in search.chosen if key in place]
    st.session_state.library_keys = list(place)
    st.session_state.library_table = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.dataframe(
        library.table(shown),
        key="library_table",
        hide_index=True,
        height=420 if len(shown) > 10 else "auto",
        on_select=_choose,
        selection_mode="multi-row",
        placeholder="",
        alt="All runs that pass the filters",
        column_config={
            "budget": st.column_config.TextColumn("budget", width=150),
            "done": st.column_config.ProgressColumn("done", format="percent", width="small"),
            "kind": "numbers",
            "created": st.column_config.DatetimeColumn("created", format="YYYY-MM-DD HH:mm"),
            "seconds": st.column_config.NumberColumn("duration", format="%.0f s"),
        },
    )


def _choose() -> None:
    """Rows that were clicked; runs that the filters hide stay chosen."""
    keys: list[str] = st.session_state.library_keys
    rows = st.session_state.library_table["selection"]["rows"]
    clicked = [keys[row] for row in rows if row < len(keys)]
    search: Search = st.session_state.library
    kept = [key for key in search.chosen if key in clicked or key not in keys]
    _ask(replace(search, chosen=tuple(dict.fromkeys([*kept, *clicked]))))


# The chosen runs.


def _chosen(
    chosen: Sequence[Entry], shown: Sequence[Entry], search: Search, answers: Answers
) -> None:
    few = chosen[:MOST_CURVES]
    st.subheader(f"{_count(len(chosen), 'chosen run')}")
    _actions(chosen, answers)
    if hidden := len({one.key for one in chosen} - {one.key for one in shown}):
        st.caption(f"{_count(hidden, 'chosen run')} not in the table, because of the filters.")
    if len(chosen) > len(few):
        st.caption(
            f"What follows is of the first {len(few)}; export and delete take all"
            + (
                f", and the address holds {library.MOST_IN_URL}."
                if len(chosen) > library.MOST_IN_URL
                else "."
            )
        )
    _figure(few, search, answers)
    if len(few) > 1:
        _differences(few)
    _provenance(few, answers)


def _actions(chosen: Sequence[Entry], answers: Answers) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        _export(chosen, answers)
        st.page_link(
            "pages/what_if.py",
            label="Open on What if",
            icon=":material/experiment:",
            query_params=library.question(chosen).to_query(),
        )
        if selection := library.smtos_selection(chosen):
            st.page_link(
                "pages/smtos.py",
                label="Compare on SMTOs",
                icon=":material/scatter_plot:",
                query_params=selection.to_query(),
            )
        running = [one for one in chosen if one.answer.record and one.answer.record.active]
        if running and st.button("Stop", icon=":material/stop:"):
            for one in running:
                answers.store.cancel(one.config.id)  # type: ignore[union-attr]
            st.rerun()
        if any(one.source != "shipped" for one in chosen) and st.button(
            "Delete", icon=":material/delete:"
        ):
            _confirm(chosen, answers)
        st.button(
            "Choose none",
            icon=":material/deselect:",
            on_click=lambda: _change(chosen=(), task=None),
        )


def _export(chosen: Sequence[Entry], answers: Answers) -> None:
    done = [one.answer for one in chosen if one.answer.state == "done"]
    with st.popover("Export", icon=":material/ios_share:"):
        st.caption("One table with the trajectories of all chosen runs:")
        _download("CSV", partial(_csv, chosen, answers), "trajectories.csv", "text/csv")
        _download(
            "Parquet",
            partial(_parquet, chosen, answers),
            "trajectories.parquet",
            "application/vnd.apache.parquet",
        )
        st.caption("Everything that is known of them, to be imported on another machine:")
        name = f"{done[0].config.id}.zip" if len(done) == 1 else "runs.zip"
        _download("Zip", partial(exchange.pack, done, answers), name, "application/zip", not done)
        if left := len(chosen) - len(done):
            st.caption(
                f"Without {_count(left, 'run')} that {'is' if left == 1 else 'are'} not done."
            )


def _download(label: str, make: Any, name: str, mime: str, disabled: bool = False) -> None:
    """Made when it is asked for, so that the page does not wait for it."""
    st.download_button(
        label,
        make,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        disabled=disabled,
        key=f"library_download_{label}",
    )


def _csv(chosen: Sequence[Entry], answers: Answers) -> str:
    return library.trajectories(chosen, answers).to_csv(index=False)


def _parquet(chosen: Sequence[Entry], answers: Answers) -> bytes:
    buffer = BytesIO()
    library.trajectories(chosen, answers).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _figure(few: Sequence[Entry], search: Search, answers: Answers) -> None:
    tasks = library.common_tasks(few)
    if not tasks:
        st.caption("These runs have no task in common that could be drawn.")
        return
    task = search.task if search.task in tasks else tasks[0]
    named = library.labels(few)
    tables = [answers.trajectory(one.answer).assign(curve=named[one.key]) for one in few]
    rows = pd.concat([rows for rows in tables if len(rows)] or tables[:1], ignore_index=True)
    if rows.empty:
        st.caption("Nothing was measured of these runs yet.")
        return
    styled = style_curves([CurveKey(named[one.key], kind(one.config)) for one in few])
    if len(tasks) > 1:
        st.session_state.library_task = task
        st.segmented_control(
            "Task",
            tasks,
            key="library_task",
            required=True,
            on_change=lambda: _change(task=st.session_state.library_task),
        )
    metric = common.measure(few[0].config.setting, task)
    chart = generalization_chart(
        rows, styled, task=task, metric_title=metric.title, metric_format=metric.format
    )
    alt = generalization_alt(styled, task=task, metric_title=metric.title)
    st.altair_chart(chart, key="library_figure", alt=alt)
    _figure_files(chart, task)


def _figure_files(chart: Any, task: str) -> None:
    title = f"{task}: generalization against training loss"
    with st.container(horizontal=True, vertical_alignment="center"):
        _download("SVG", partial(figure_svg, chart, title), f"{task}.svg", "image/svg+xml")
        _download("PNG", partial(figure_png, chart, title), f"{task}.png", "image/png")
        st.caption(
            f"**{task}** at equal training loss; bands are ±2 standard deviations over seeds."
        )


def _differences(few: Sequence[Entry]) -> None:
    st.markdown("**Where they differ**")
    differing = library.comparison(few)
    if differing.empty:
        st.caption("In nothing that was recorded.")
    else:
        st.dataframe(
            differing,
            key="library_differences",
            height="content",
            alt="Fields in which the runs differ",
        )


def _provenance(few: Sequence[Entry], answers: Answers) -> None:
    st.markdown("**Where the numbers come from**")
    named = library.labels(few)
    for one in few:
        # Computed only where somebody looks: comparing the data may mean reading it.
        place = st.expander(
            f"{one.config.target}, {_escaped(named[one.key])} · {one.source} · `{one.config.id}`",
            expanded=len(few) == 1,
            key=f"library_open_{len(few) == 1}_{one.key}",
            on_change="rerun",
        )
        if place.open:
            with place:
                _one(one, answers)


def _one(entry: Entry, answers: Answers) -> None:
    manifest = entry.answer.manifest
    with st.spinner("Looking at this machine's data …"):
        same, data = library.data_here(entry.answer)
    record = entry.answer.record
    facts = {
        "run": f"{entry.config.id}, {BACK[entry.source]}, {entry.answer.state}",
        "numbers": entry.kind,
        "created": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(entry.created)),
        "duration": "–" if entry.seconds is None else f"{entry.seconds:,.1f} s",
        "device": entry.device or "–",
        "versions": ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items()) or "–",
        "data": data,
        "budget": library.budget(entry.config),
    }
    if record is not None and record.error:
        facts["error"] = record.error
    for name, how in manifest.get("factors", {}).items():
        facts[common.title(str(name))] = str(how)
    for number, note in enumerate(answers.notes(entry.answer), start=1):
        facts[f"note {number}"] = note
    st.table(
        {"": list(facts), " ": [_escaped(text) for text in facts.values()]},
        border="horizontal",
        hide_index=True,
        hide_header=True,
    )
    if same is False:
        st.warning(f"This run was made on {_escaped(data)}.", icon=":material/database:")
    st.caption("The same run on the command line:")
    preset = smtos.nearest_preset(entry.config.baseline)
    st.code(command_line(entry.config, preset), language="bash", wrap_lines=True)


def _escaped(text: str) -> str:
    """As it is: what comes from another machine is no Markdown of ours."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:])", r"\\\1", text)


# In.


def _import(answers: Answers) -> None:
    with (
        st.popover("Import", icon=":material/upload_file:"),
        st.form("library_import", clear_on_submit=True, border=False),
    ):
        files = st.file_uploader(
            "Runs from another machine",
            type=["zip", "json", "parquet"],
            accept_multiple_files=True,
            help="A zip file as Export makes them, or the manifest.json and *.parquet files of "
            "one run. They are checked, and kept beside your own runs.",
        )
        if st.form_submit_button("Import", icon=":material/upload_file:") and files:
            _take_in(files, answers)
            st.rerun()


def _take_in(files: Sequence[Any], answers: Answers) -> None:
    """Each zip file by itself, and the other files together as one run."""
    parcels = [
        (file.name, partial(exchange.receive_zip, file, file.name, answers))
        for file in files
        if Path(file.name).suffix.lower() == ".zip"
    ]
    loose = {file.name: file for file in files if Path(file.name).suffix.lower() != ".zip"}
    if loose:
        parcels.append(("these files", partial(exchange.receive_files, loose, answers)))
    told, failed, chosen = [], [], []
    runs = {entry.config.id for entry in library.entries(answers)}
    for name, receive in parcels:
        try:
            received = receive()
        except InputError as error:
            failed.append(str(error))
            continue
        taken = [one.run for one in received if one.kept is None]
        fronts = [run for run in taken if run in exchange.imported_fronts()[0]]
        kinds = {"run": len(taken) - len(fronts), "front": len(fronts)}
        words = [_count(number, noun) for noun, number in kinds.items() if number]
        if words:
            told.append(f"{name}: imported {' and '.join(words)}.")
        told += _kept(name, [one for one in received if one.kept is not None])
        chosen += [one.run for one in received if one.run in runs | {*taken} - {*fronts}]
    st.session_state.library_told, st.session_state.library_failed = told, failed
    if chosen:
        _change(chosen=tuple(dict.fromkeys(chosen)))


def _kept(name: str, there: Sequence[exchange.Received]) -> list[str]:
    """A line for each place where runs were already."""
    lines = []
    for origin, back in BACK.items():
        runs = [one.run for one in there if one.kept == origin]
        if runs:
            what = f"run {runs[0]} is" if len(runs) == 1 else f"{len(runs)} runs are"
            lines.append(f"{name}: {what} here already ({back}); what was here was kept.")
    return lines


# Out, for ever.


def _confirm(chosen: Sequence[Entry], answers: Answers) -> None:
    running = [one for one in chosen if one.source == "own" and one.answer.state == "running"]
    able = [one for one in chosen if one.source != "shipped" and one not in running]
    shipped = sum(one.source == "shipped" for one in chosen)

    @st.dialog(f"Delete {_count(len(able), 'run')}?", icon=":material/delete:")
    def ask() -> None:
        named = library.labels(able)
        for one in able[:MOST_NAMED]:
            title = settings.get(one.config.setting).title
            st.markdown(
                f"- {title}, {one.config.target}, {_escaped(named[one.key])}, {one.source}, "
                f"{one.answer.state}, `{one.config.id}`"
            )
        if len(able) > MOST_NAMED:
            st.markdown(f"- and {len(able) - MOST_NAMED} more")
        if able:
            st.markdown("Their numbers are lost, and links to them no longer show them.")
        if running:
            are = "is running and stays" if len(running) == 1 else "are running and stay"
            what = f"{_count(len(running), 'run')} {are}; stop what is to be deleted first."
            st.info(what, icon=":material/stop:")
        if shipped:
            are = "ships with the app and stays" if shipped == 1 else "ship with the app and stay"
            st.info(f"{_count(shipped, 'run')} {are}.", icon=":material/lock:")
        with st.container(horizontal=True):
            if st.button(
                "Delete",
                type="primary",
                icon=":material/delete:",
                disabled=not able,
                on_click=partial(_delete, able, answers),
            ):
                st.rerun()  # which closes the dialog
            if st.button("Keep"):
                st.rerun()

    ask()


def _delete(able: Sequence[Entry], answers: Answers) -> None:
    gone, failed = [], []
    for one in able:
        try:
            library.remove(one, answers)
            gone.append(one.key)
        except InputError as error:
            failed.append(str(error))
    st.session_state.library_failed = failed
    if gone:
        st.session_state.library_told = [f"Deleted {_count(len(gone), 'run')}."]
    _ask(st.session_state.library.without(gone))


def _broken(answers: Answers) -> None:
    """What lies where runs are and cannot be shown, with a way to be rid of it."""
    folders = exchange.broken()
    unreadable = answers.store.unreadable() if answers.store else {}
    total = len(folders) + len(unreadable)
    if not total:
        return
    with st.expander(
        f"{_count(total, 'run')} that cannot be shown", icon=":material/broken_image:"
    ):
        for folder, reason in folders.items():
            _rid(folder.name, reason, partial(exchange.remove, folder))
        for run, reason in unreadable.items():
            _rid(run, reason, partial(answers.store.remove, run))  # type: ignore[union-attr]


def _rid(name: str, reason: str, remove: Any) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"`{name}` {_escaped(reason)}")
        with st.popover("Delete", icon=":material/delete:"):
            if st.button("Delete for ever", key=f"library_rid_{name}"):
                remove()
                st.rerun()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


main()
