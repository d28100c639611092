"""The Library page's search: what it filters by, and what its URL asks for."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mtl_core.errors import InputError, unknown
from mtl_core.runs.kinds import KINDS
from mtl_core.runs.library.answers import Answers, Origin
from mtl_core.views import codec, vocabulary
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.library import Entry
from mtl_core.views.results import RESULTS, Condition, conditions, short

__all__ = [
    "FILTERS",
    "MOST_IN_URL",
    "MOST_ON_PAGE",
    "SOURCES",
    "STATES",
    "Search",
    "choices",
    "resolved",
]

SOURCES: tuple[Origin, ...] = ("own", "imported", "shipped")
STATES = ("queued", "running", "done", "failed", "cancelled")
MOST_IN_URL = 100
"""Chosen experiments that a URL holds."""
MOST_ON_PAGE = 500
"""Experiments that a page of the table shows."""
_MOST_TEXT = 100
_KEY = re.compile(r"((own|imported|shipped):)?[0-9a-f]{16}")


@dataclass(frozen=True)
class Filter:
    """A filter of experiments.

    Args:
        value: an entry's.
        known: all values, by name and title, in their order.
    """

    title: str
    value: Callable[[Entry], str]
    known: Callable[[], Mapping[str, str]]


def _named(names: Iterable[str]) -> Mapping[str, str]:
    return {name: name for name in names}


def _every(of_kind: Callable[[vocabulary.Vocabulary], Mapping[str, str]]) -> Mapping[str, str]:
    """Names and titles of all kinds; of a name that two have, the first one's title."""
    found: dict[str, str] = {}
    for kind in KINDS:
        for name, title in of_kind(vocabulary.of(kind)).items():
            found.setdefault(name, title)
    return found


FILTERS = {
    "kind": Filter("Kind", lambda one: str(one.config.kind), lambda: _named(KINDS)),
    "setting": Filter(
        "Setting or problem",
        lambda one: one.words.subject,
        lambda: _every(lambda kind: kind.subjects()),
    ),
    "target": Filter(
        "Target task",
        lambda one: one.words.target,
        lambda: _every(lambda kind: _named(kind.targets())),
    ),
    "optimizer": Filter(
        "Optimizer or method",
        lambda one: one.words.method,
        lambda: _every(lambda kind: kind.methods()),
    ),
    "source": Filter("Source", lambda one: one.source, lambda: _named(SOURCES)),
    "state": Filter("State", lambda one: one.answer.state, lambda: _named(STATES)),
}
"""By their names in a URL, which are those of the fields of Search."""


@dataclass(frozen=True)
class Search:
    """What the Library page shows, as it stands in its URL.

    Of each filter, an entry must have one of the values; no values let everything pass.

    Args:
        setting: settings and problems.
        optimizer: optimizers and methods; ``vocabulary.SINGLE`` for a single task.
        text: words that must all stand somewhere in what the table says of an experiment.
        chosen: keys of entries, in the order in which they were chosen.
        task: whose curves are drawn; None for the first that the chosen experiments share.
        results: columns of results, of ``results.RESULTS``, that the table has.
        where: what results must be; ``passes`` does not look at it (``results.passing``).
        page: of those that pass, where they are more than a table shows at once; from 1.
    """

    kind: tuple[str, ...] = ()
    setting: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    optimizer: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    text: str = ""
    chosen: tuple[str, ...] = ()
    task: str | None = None
    results: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    page: int = 1

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return replace(self.unfiltered, page=self.page) != self

    @property
    def unfiltered(self) -> "Search":
        """The same choice among all entries."""
        return Search(chosen=self.chosen, task=self.task, results=self.results)

    def pages(self, passing: int) -> int:
        """How many pages so many experiments take, at least one."""
        return max(-(-passing // MOST_ON_PAGE), 1)

    def on_page(self, passing: Sequence[Entry]) -> Sequence[Entry]:
        """Those of the page; of the last one where there are fewer pages by now."""
        first = (min(self.page, self.pages(len(passing))) - 1) * MOST_ON_PAGE
        return passing[first : first + MOST_ON_PAGE]

    def passes(self, entry: Entry) -> bool:
        """Whether an entry passes all filters."""
        for name, one in FILTERS.items():
            asked = getattr(self, name)
            if asked and one.value(entry) not in asked:
                return False
        wanted = self.text.casefold().split()
        return not wanted or all(word in _said(entry) for word in wanted)

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Entry], answers: Answers
    ) -> "tuple[Search, list[str]]":
        """What a URL asks for, and what in it could not be understood and was left out."""
        reading = codec.read(query, _FIELDS)
        asked = reading.values["chosen"]
        reading.problems += [
            f"in the URL, run: there is no experiment {key} here; it may have been deleted, or be "
            "on another machine"
            for key in asked
            if not _entries_of(key, found, answers)
        ]
        chosen = resolved(asked, found, answers)
        return cls(**reading.values | {"chosen": chosen}), reading.told

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything, up to ``MOST_IN_URL`` chosen experiments."""
        return codec.write(self, _FIELDS)

    def without(self, keys: Iterable[str]) -> "Search":
        """The same with these entries no longer chosen."""
        gone = set(keys)
        return replace(self, chosen=tuple(key for key in self.chosen if key not in gone))


def choices(search: Search, found: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """What each filter offers: the values that are here or asked for, by name and title."""
    offered = {}
    for name, one in FILTERS.items():
        # Targets are those of the settings that are asked for.
        few = Search(setting=search.setting) if name == "target" else Search()
        passing = filter(few.passes, found) if few.filtered else found
        there = {one.value(entry) for entry in passing}
        there |= {*getattr(search, name)}
        offered[name] = {key: title for key, title in one.known().items() if key in there}
    return offered


def resolved(keys: Iterable[str], found: Sequence[Entry], answers: Answers) -> tuple[str, ...]:
    """The keys of the entries that are meant; what is not here is left out."""
    meant = [one.key for key in keys for one in _entries_of(key, found, answers)]
    return tuple(dict.fromkeys(meant))


def _entries_of(key: str, found: Sequence[Entry], answers: Answers) -> list[Entry]:
    """The entry with a key; or, for an id from when seeds were a part of it, those with its runs.

    A source that has an experiment alone by now, and that had company once, is found too.
    """
    if exact := [entry for entry in found if entry.key == key][:1]:
        return exact
    source, _, run = key.rpartition(":")
    answer = answers.find_id(run)
    if answer is None:
        return []
    return [
        entry
        for entry in found
        if entry.config.id == answer.config.id
        and source in ("", entry.source)
        and {*entry.config.seeds} & {*answer.config.seeds}
    ]


def _said(entry: Entry) -> str:
    """All words that a text is looked for in."""
    said, answer = entry.words, entry.answer
    parts = (
        entry.config.id,
        *(one.value(entry) for one in FILTERS.values()),
        said.label,
        said.title,
        " ".join(said.auxiliaries),
        said.method_title,
        said.method_label,
        said.budget,
        answer.said("device"),
        answer.numbers,
        *answer.errors,
    )
    return "\n".join(parts).casefold()


# The URL.


def _text(text: str, _: Values) -> str:
    if len(text) > _MOST_TEXT:
        raise InputError(f"{len(text)} characters are more than {_MOST_TEXT}")
    return " ".join(text.split())


def _page(text: str, _: Values) -> int:
    number = codec.whole(text)
    if number < 1:
        raise InputError(f"there is no page {number}; the first is 1")
    return number


def _task(text: str, _: Values) -> str:
    known = FILTERS["target"].known()
    if text not in known:
        raise unknown("task", text, known)
    return text


def _results(text: str, _: Values) -> tuple[str, ...]:
    names = dict(zip(map(short, RESULTS), RESULTS, strict=True))
    asked = text.split()
    for name in asked:
        if name not in names:
            raise unknown("column of results", name, names)
    return tuple(column for name, column in names.items() if name in asked)


def _shown_results(columns: Sequence[str]) -> str:
    return " ".join(map(short, columns))


def _where(text: str, _: Values) -> tuple[Condition, ...]:
    return conditions(_text(text, _))


def _shown_where(asked: Sequence[Condition]) -> str:
    return ", ".join(map(str, asked))


def _filter(name: str) -> Field:
    filtered = FILTERS[name]
    parse = codec.some_of(filtered.title.lower(), lambda _: filtered.known(), none=True)
    return Field(name, parse, " ".join, default=(), usually="all")


_FIELDS: Entries = [
    *map(_filter, FILTERS),
    Field("text", _text, default=""),
    Field("page", _page, default=1),
    Field("results", _results, _shown_results, default=()),
    Field("where", _where, _shown_where, default=()),
    Field("task", _task, usually="the first in common"),
    Field(
        "run",
        codec.ids(MOST_IN_URL, "experiments", _KEY, single="an experiment's id"),
        lambda keys: " ".join(keys[:MOST_IN_URL]),
        default=(),
        at=("chosen",),
    ),
]
