"""Library: all experiments, where their numbers come from, and their import and export."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import pandas as pd
import streamlit as st
from altair import TopLevelMixin

from mtl_core import InputError, settings
from mtl_core.charts import CurveKey, generalization_alt, generalization_chart, style_curves
from mtl_core.charts.export import figure_png, figure_svg
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.views import comparisons, library, measures, phrases
from mtl_core.views.asking import deletable
from mtl_core.views.library import Entry
from mtl_core.views.library_search import (
    FILTERS,
    MOST_IN_URL,
    MOST_ON_PAGE,
    SOURCES,
    Search,
    choices,
    resolved,
)
from mtl_core.views.links import links
from mtl_core.views.measures import Measure
from mtl_core.views.phrases import counted
from mtl_core.views.results import RESULTS, conditions, passing, with_results
from mtl_core.views.spreadsheets import csv
from mtl_core.views.turns import in_turn
from mtl_core.views.what_if import kind
from pages.parts import (
    add_data,
    buttons,
    common,
    figures,
    library_import,
    stage,
    state,
    visitors,
    words,
)

MOST_SHOWN = 24  # that are drawn, compared and described below the table
MOST_NAMED = 10  # in the dialog that asks before they are deleted
ICONS = {
    "what_if": ":material/experiment:",
    "smtos": ":material/scatter_plot:",
    "pareto_front": ":material/balance:",
}


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    found = library.entries(answers)
    if answers.store is not None and any(entry.answer.active for entry in found):
        # A run whose worker died is not running, and one that waits needs a worker.
        if problem := tend(answers.store):
            words.tell("warning", problem, icon=":material/engineering:")
        found = library.entries(answers)
    search = _search(found, answers)
    if stage.shows("controls"):
        with st.sidebar:
            _filters(search, found)
    st.title("Which experiments are there, and where do their numbers come from?")
    _told()
    shown: Sequence[Entry] = [entry for entry in found if search.passes(entry)]
    if search.where:
        with st.spinner("Reading results …", show_time=True):
            shown = passing(shown, answers, search.where)
    _summary(found, shown, search, answers)
    _table(shown, search, answers)
    by_key = {entry.key: entry for entry in found}
    chosen = [by_key[key] for key in search.chosen]
    if chosen:
        _chosen(chosen, shown, search, answers)
    else:
        st.caption("Choose rows to compare, open, export or delete them.")
    _broken(answers)


def _told() -> None:
    """What came of the reader's last click, or of the link that led here."""
    PAGE.problems()
    PAGE.over()
    for line in st.session_state.pop("library_failed", []):
        words.tell("error", line, icon=":material/error:")
    for line in st.session_state.pop("library_done", []):
        words.tell("success", line, icon=":material/check:")


# The search: changed by callbacks only.


def _read(query: Mapping[str, str]) -> tuple[Search, list[str]]:
    answers = common.answers(tell=False)
    return Search.from_query(query, library.entries(answers), answers)


PAGE: state.Page[Search] = state.Page("library", _read)


def _search(found: Sequence[Entry], answers: Answers) -> Search:
    search = PAGE.open()
    if not {*search.chosen} <= {entry.key for entry in found}:
        # Deleted, by somebody else too; or imported just now.
        search = replace(search, chosen=resolved(search.chosen, found, answers))
        PAGE.put(search)
    return search


def _filters(search: Search, found: Sequence[Entry]) -> None:
    st.subheader("The experiments")
    st.text_input(
        "Search",
        key=PAGE.widget("text", search.text),
        max_chars=100,
        icon=":material/search:",
        placeholder="task, optimizer, device, id …",
        on_change=_narrow,
        args=("text", lambda text: " ".join(text.split())),
    )
    for name, offered in choices(search, found).items():
        _filter(name, offered, search)
    st.multiselect(
        "Results in the table",
        list(RESULTS),
        key=PAGE.widget("results", list(search.results)),
        placeholder="none",
        help="\n".join(f"- {about}" for about in RESULTS.values())
        + "\n\nShares are in percent, their differences in points. Click a column to sort by it.",
        on_change=PAGE.take,
        args=("results", tuple),
    )
    st.text_input(
        "Only where",
        key=PAGE.widget("where", ", ".join(map(str, search.where))),
        max_chars=100,
        placeholder="ΔE > 1, E >= 90",
        help="What results must be, whether they stand in the table or not: a column, > or <, and "
        "a number; or *ΔE is better*, *worse*, *not significant*. Of several, between commas, all "
        "must hold. Shares are in percent, their differences in points.",
        on_change=_ask_where,
    )
    PAGE.refused("where")
    if search.filtered:
        st.button(
            "Show all experiments",
            icon=":material/filter_alt_off:",
            on_click=lambda: PAGE.put(PAGE.view.unfiltered),
        )


def _filter(name: str, offered: Mapping[str, str], search: Search) -> None:
    """One filter: any of some values."""
    st.multiselect(
        FILTERS[name].title,
        list(offered),
        key=PAGE.widget(name, list(getattr(search, name))),
        format_func=lambda value: offered[value],
        placeholder="all",
        on_change=_narrow,
        args=(name, tuple),
    )


def _ask_where() -> None:
    try:
        PAGE.take("where", conditions)
    except InputError as error:
        PAGE.refuse("where", error)
    else:
        PAGE.change(page=1)


def _narrow(name: str, make: Callable[[Any], Any]) -> None:
    """Take a filter's value; what passes begins with its first page."""
    PAGE.take(name, make)
    PAGE.change(page=1)


# The table.


def _summary(
    found: Sequence[Entry], shown: Sequence[Entry], search: Search, answers: Answers
) -> None:
    counts = Counter(entry.source for entry in found)
    there = ", ".join(f"{counts[source]} {source}" for source in SOURCES if counts[source])
    pass_it = "passes" if len(shown) == 1 else "pass"
    passing = f"; {len(shown)} {pass_it} the filters" if search.filtered else ""
    active = sum(record.active for entry in found for record in entry.answer.records)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{counted(len(found), 'experiment')}**: {there or 'none yet'}{passing}.")
        if visitors.may_upload():
            library_import.button(answers, lambda keys: PAGE.change(chosen=keys))
        add_data.button(_added)
        if active:
            st.button(
                f"{counted(active, 'run')} in the queue or running",
                icon=":material/refresh:",
            )


def _added(name: str) -> None:
    title = settings.get(name).title
    st.session_state.library_done = [
        f"Added {title} as {name}: choose it as the setting of What if or Which auxiliary."
    ]


def _table(shown: Sequence[Entry], search: Search, answers: Answers) -> None:
    if not shown:
        st.info("No experiment passes these filters.", icon=":material/filter_alt:")
        return
    pages, passing = search.pages(len(shown)), len(shown)
    shown = search.on_page(shown)
    # Chosen rows are shown by the search, which is the only state there is.
    place = {entry.key: row for row, entry in enumerate(shown)}
    rows = sorted(place[key] for key in search.chosen if key in place)
    st.session_state.library_keys = list(place)
    state.show("library_table", {"selection": {"rows": rows, "columns": [], "cells": []}})
    with st.spinner("Reading results …", show_time=True):
        table = with_results(library.table(shown), shown, answers, search.results)
    st.dataframe(
        table,
        key="library_table",
        hide_index=True,
        height=420 if len(shown) > 10 else "auto",
        on_select=_choose,
        selection_mode="multi-row",
        placeholder="",
        alt="All experiments that pass the filters",
        column_config={
            "setting": "setting or problem",
            "optimizer": "optimizer or method",
            "budget": st.column_config.TextColumn("budget", width=150),
            "done": st.column_config.ProgressColumn("done", format="percent", width="small"),
            "created": st.column_config.DatetimeColumn("created", format="YYYY-MM-DD HH:mm"),
            "seconds": st.column_config.NumberColumn("duration", format="%.0f s"),
            **_RESULT_COLUMNS,
        },
    )
    if pages > 1:
        page = min(search.page, pages)
        first = (page - 1) * MOST_ON_PAGE + 1
        st.number_input(
            f"Page of {pages}: experiments {first:,} to {first - 1 + len(shown):,} of {passing:,}",
            min_value=1,
            max_value=pages,
            key=PAGE.widget("page", page),
            on_change=PAGE.take,
            args=("page",),
            width=360,
        )


_RESULT_COLUMNS = {
    name: st.column_config.NumberColumn(
        name, help=about, format="%.3g" if name in ("final L", "sharpness") else "%.1f"
    )
    for name, about in RESULTS.items()
    if name != "ΔE is"
} | {"ΔE is": st.column_config.TextColumn("ΔE is", help=RESULTS["ΔE is"])}


def _choose() -> None:
    """Rows that were clicked; experiments that the filters hide stay chosen."""
    keys: list[str] = st.session_state.library_keys
    rows = st.session_state.library_table["selection"]["rows"]
    clicked = [keys[row] for row in rows if row < len(keys)]
    search = PAGE.view
    kept = [key for key in search.chosen if key in clicked or key not in keys]
    PAGE.put(replace(search, chosen=tuple(dict.fromkeys([*kept, *clicked]))))


# The chosen experiments.


def _chosen(
    chosen: Sequence[Entry], shown: Sequence[Entry], search: Search, answers: Answers
) -> None:
    few = chosen[:MOST_SHOWN]
    st.subheader(counted(len(chosen), "chosen experiment"))
    _actions(chosen, answers)
    if hidden := len({one.key for one in chosen} - {one.key for one in shown}):
        count = counted(hidden, "chosen experiment")
        st.caption(f"{count} not in the table, because of the filters.")
    if len(chosen) > len(few):
        held = f", and the address holds {MOST_IN_URL}" if len(chosen) > MOST_IN_URL else ""
        st.caption(f"What follows is of the first {len(few)}; export and delete take all{held}.")
    if drawn := [one for one in few if one.words.tasks]:
        _figure(drawn, search, answers)
    if len(few) > 1:
        _differences(few)
    _provenance(few, answers)


def _actions(chosen: Sequence[Entry], answers: Answers) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        _export(chosen, answers)
        for way in links([one.answer for one in chosen]):
            st.page_link(
                f"pages/{way.page}.py",
                label=way.label,
                icon=ICONS[way.page],
                query_params=dict(way.query),
            )
        if active := [one.answer for one in chosen if one.answer.active]:
            buttons.stop_button(active, answers, type="secondary")
        if any(map(_deletable, chosen)) and st.button("Delete", icon=":material/delete:"):
            _confirm(chosen, answers)
        st.button(
            "Choose none",
            icon=":material/deselect:",
            on_click=lambda: PAGE.change(chosen=(), task=None),
        )


def _export(chosen: Sequence[Entry], answers: Answers) -> None:
    done = [one.answer for one in chosen if one.answer.done]
    with st.popover("Export", icon=":material/ios_share:"):
        for name in dict.fromkeys(one.answer.kind.name for one in chosen):
            alike = [one for one in chosen if one.answer.kind.name == name]
            table = alike[0].answer.kind.main
            st.caption(f"One table of all chosen {name} experiments:")
            _download("CSV", partial(_csv, alike, answers), f"{table}.csv", "text/csv")
            mime = "application/vnd.apache.parquet"
            _download("Parquet", partial(_parquet, alike, answers), f"{table}.parquet", mime)
        st.caption("Everything that is known of them, to be imported on another machine:")
        file = f"{done[0].config.id}.zip" if len(done) == 1 else "experiments.zip"
        _download("Zip", partial(exchange.pack, done, answers), file, "application/zip", not done)
        if left := sum(len(one.config.seeds) - len(one.answer.done) for one in chosen):
            are = "is" if left == 1 else "are"
            st.caption(f"Without {counted(left, 'run')} that {are} not done.")


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
        key=f"library_download_{name}",
    )


def _csv(alike: Sequence[Entry], answers: Answers) -> str:
    return csv(library.rows(alike, answers))


def _parquet(alike: Sequence[Entry], answers: Answers) -> bytes:
    buffer = BytesIO()
    library.rows(alike, answers).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _figure(drawn: Sequence[Entry], search: Search, answers: Answers) -> None:
    tasks = library.common_tasks(drawn)
    if not tasks:
        st.caption("These experiments have no task in common that could be drawn.")
        return
    task = search.task if search.task in tasks else tasks[0]
    named = library.labels(drawn)
    tables = [answers.main(one.answer).assign(curve=named[one.key]) for one in drawn]
    rows = pd.concat([rows for rows in tables if len(rows)] or tables[:1], ignore_index=True)
    if rows.empty:
        st.caption("Nothing was measured of these experiments yet.")
        return
    styled = style_curves([CurveKey(named[one.key], kind(one.config)) for one in drawn])
    if len(tasks) > 1:
        st.segmented_control(
            "Task",
            tasks,
            key=PAGE.widget("task", task),
            required=True,
            on_change=PAGE.take,
            args=("task",),
        )
    metric = measures.measure(drawn[0].config.setting, task)
    chart = generalization_chart(
        rows, styled, task=task, metric_title=metric.title, metric_format=metric.format
    )
    alt = generalization_alt(
        styled,
        task=task,
        metric_title=metric.title,
        metric_format=metric.format,
        trajectories=rows,
    )
    figures.draw(chart, key="library_figure", alt=alt)
    _figure_files(chart, task)
    _transfers(drawn, task, metric, answers)


def _transfers(drawn: Sequence[Entry], task: str, metric: Measure, answers: Answers) -> None:
    """Transfer of the drawn experiments, where there is a single task to compare them with."""
    together = [one.answer for one in drawn if one.answer.config.auxiliaries and one.answer.done]
    if not together:
        return
    try:
        table = comparisons.compared(together, task, answers)
    except InputError as error:
        words.tell("caption", str(error))
        return
    rows = [
        {
            "experiment": row["curve"],
            "E": metric.value(row["metric"]),
            "transfer ΔE": metric.delta(row["transfer"]),
            "95 % interval": measures.between(row["transfer_low"], row["transfer_high"], metric)
            or "–",
            "ΔE is": row["verdict"] or "not known",
            "by ±2 SD": row["paper"] or "–",
            "gap at equal loss": metric.delta(row["gap"]),
            "gap is": row["gap_verdict"] or "–",
            "run": row["run"],
        }
        for row in table.to_dict("records")
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="library_transfers")
        st.caption(
            f"Against **{table['baseline'].iloc[0]}** at the same budget; verdicts by the 95 % "
            f"interval{phrases.family(int(table['p'].notna().sum()))}."
        )


def _figure_files(chart: TopLevelMixin, task: str) -> None:
    title = f"{task}: generalization against training loss"
    rows = [[("", chart)]]
    with st.container(horizontal=True, vertical_alignment="center"):
        _download("SVG", partial(figure_svg, rows, title), f"{task}.svg", "image/svg+xml")
        _download("PNG", partial(figure_png, rows, title), f"{task}.png", "image/png")
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
            alt="Fields in which the experiments differ",
        )


def _provenance(few: Sequence[Entry], answers: Answers) -> None:
    st.markdown("**Where the numbers come from**")
    named = library.labels(few)
    for one in few:
        # Computed only where somebody looks: comparing the data may mean reading it.
        place = st.expander(
            f"{_called(one, named)} · {one.source} · `{one.config.id}`",
            expanded=len(few) == 1,
            key=f"library_open_{len(few) == 1}_{one.key}",
            on_change="rerun",
        )
        if place.open:
            with place:
                _one(one, answers)


def _called(entry: Entry, named: Mapping[str, str]) -> str:
    """An entry among others, with what it is about, as Markdown."""
    said, name = entry.words, named[entry.key]
    about = said.target or said.title
    return words.escaped(name if name.startswith(f"{about}: ") else f"{about}, {name}")


def _one(entry: Entry, answers: Answers) -> None:
    answer, config = entry.answer, entry.config
    facts = {
        "experiment": f"{config.id}, {library_import.BACK[entry.source]}, {answer.state}",
        "numbers": answer.numbers,
        "budget": entry.words.budget,
    }
    facts |= {f"error {place}": text for place, text in enumerate(answer.errors, start=1)}
    facts |= {phrases.title(name): how for name, how in answer.factors.items()}
    facts |= {f"note {place}": text for place, text in enumerate(answers.notes(answer), start=1)}
    with st.spinner("Looking at this machine's data …"):
        made, other = library.provenance(answer), other_data(answer)
    _written({"": list(facts), " ": list(facts.values())}, header=False)
    if made:
        _written({name: [group[name] for group in made] for name in made[0]})
    if other:
        st.warning(
            f"Runs of this experiment were {words.escaped(other)}.", icon=":material/database:"
        )
    st.caption("The same runs on the command line:")
    st.code(answer.kind.command.line(config, entry.words.preset), language="bash", wrap_lines=True)


def _written(columns: Mapping[str, Sequence[str]], header: bool = True) -> None:
    """A table of words, as they are."""
    st.table(
        {name: [*map(words.escaped, texts)] for name, texts in columns.items()},
        border="horizontal",
        hide_index=True,
        hide_header=not header,
    )


# Out, for ever.


def _confirm(chosen: Sequence[Entry], answers: Answers) -> None:
    running = [one for one in chosen if one.answer.state == "running"]
    able = [one for one in chosen if _deletable(one) and one not in running]
    shipped = sum(one.source == "shipped" for one in chosen)
    others = len([one for one in chosen if not _deletable(one) and one not in running]) - shipped

    @st.dialog(f"Delete {counted(len(able), 'experiment')}?", icon=":material/delete:")
    @in_turn
    def ask() -> None:
        _named(able)
        if running:
            are = "is running and stays" if len(running) == 1 else "are running and stay"
            what = f"{counted(len(running), 'experiment')} {are}; stop what is to be deleted first."
            st.info(what, icon=":material/stop:")
        if shipped:
            are = "ships with the app and stays" if shipped == 1 else "ship with the app and stay"
            st.info(f"{counted(shipped, 'experiment')} {are}.", icon=":material/lock:")
        if others > 0:
            are = "is of others and stays" if others == 1 else "are of others and stay"
            st.info(f"{counted(others, 'experiment')} {are}.", icon=":material/group:")
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


def _deletable(entry: Entry) -> bool:
    return deletable(entry.answer, entry.source, visitors.visitor(), visitors.access())


def _named(able: Sequence[Entry]) -> None:
    """What is about to go."""
    named = library.labels(able)
    for one in able[:MOST_NAMED]:
        runs = counted(len(one.config.seeds), "run")
        st.markdown(
            f"- {_called(one, named)}: {runs}, {one.source}, {one.answer.state}, `{one.config.id}`"
        )
    if len(able) > MOST_NAMED:
        st.markdown(f"- and {len(able) - MOST_NAMED} more")
    if able:
        st.markdown("Their numbers are lost, and links to them no longer show them.")


def _delete(able: Sequence[Entry], answers: Answers) -> None:
    gone, failed = [], []
    now = {one.key: one for one in library.entries(answers)}
    for one in able:
        if one.key in now and not _deletable(now[one.key]):
            failed.append(f"{one.config.id}: somebody else has resumed it, so it stays")
            continue
        try:
            library.remove(one, answers)
            gone.append(one.key)
        except InputError as error:
            failed.append(str(error))
    st.session_state.library_failed = failed
    if gone:
        st.session_state.library_done = [f"Deleted {counted(len(gone), 'experiment')}."]
    PAGE.put(PAGE.view.without(gone))


def _broken(answers: Answers) -> None:
    """Folders among the experiments that cannot be shown, and a button that deletes them."""
    if visitors.shared():
        return  # nothing of a visitor's
    folders = exchange.broken()
    unreadable = answers.store.unreadable() if answers.store else {}
    if not (total := len(folders) + len(unreadable)):
        return
    with st.expander(
        f"{counted(total, 'experiment')} that cannot be shown",
        icon=":material/broken_image:",
    ):
        for folder, reason in folders.items():
            _rid(folder.name, reason, partial(exchange.remove, folder))
        for run, reason in unreadable.items():
            _rid(run, reason, partial(answers.store.remove, run))  # type: ignore[union-attr]


def _rid(name: str, reason: str, remove: Callable[[], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(words.escaped(f"{name}: {reason}"))
        with st.popover("Delete", icon=":material/delete:"):
            if st.button("Delete for ever", key=f"library_rid_{name}"):
                remove()
                st.rerun()


main()
