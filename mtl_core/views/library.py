"""The library: all runs there are, which of them a URL asks for, and how the chosen ones differ."""

import calendar
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import smtos
from mtl_core.views.codec import Reader, first_few
from mtl_core.views.question import MOST_PINS, Question, differences, label

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MOST_IN_URL",
    "SINGLE",
    "SOURCES",
    "STATES",
    "Entry",
    "Search",
    "budget",
    "common_tasks",
    "comparison",
    "data_here",
    "entries",
    "labels",
    "question",
    "remove",
    "smtos_selection",
    "table",
    "trajectories",
]

SOURCES = ("own", "imported", "shipped")
STATES = ("queued", "running", "done", "failed", "cancelled")
SINGLE = "none"
"""The optimizer of a single task, for filtering: it has nothing to combine."""
MOST_IN_URL = 100
"""Chosen runs that a URL holds."""
_MOST_TEXT = 100
_MOST_WORDS = 3
_KEY = re.compile(r"(own:)?[0-9a-f]{16}")


@dataclass(frozen=True)
class Entry:
    """A run in the library.

    Args:
        key: its id; ``own:`` and its id for a run of the store that an artifact answers for.
    """

    key: str
    answer: Answer

    @property
    def config(self) -> RunConfig:
        return self.answer.config

    @property
    def source(self) -> Literal["own", "imported", "shipped", "nowhere"]:
        """One of ``SOURCES``."""
        return self.answer.origin

    @property
    def share(self) -> float:
        """Of its steps that are done, 0 to 1."""
        record = self.answer.record
        return 1.0 if record is None else record.steps_done / record.steps_total

    @property
    def kind(self) -> str:
        """``measured`` or ``published``."""
        return str(self.answer.manifest.get("kind", "measured"))

    @property
    def device(self) -> str:
        """What it was trained on; empty while nobody knows."""
        return str(self.answer.manifest.get("device", ""))

    @property
    def created(self) -> float:
        """When it was finished or, before that, queued, in seconds since 1970."""
        if record := self.answer.record:
            return record.finished_at or record.queued_at
        try:
            written = str(self.answer.manifest.get("created"))[:19]
            return float(calendar.timegm(time.strptime(written, "%Y-%m-%dT%H:%M:%S")))
        except ValueError:
            return 0.0

    @property
    def seconds(self) -> float | None:
        """How long it took, so far; None where that was not recorded."""
        if record := self.answer.record:
            return record.seconds or None
        duration = self.answer.manifest.get("duration_seconds")
        return float(duration) if isinstance(duration, (int, float)) else None


@dataclass(frozen=True)
class Search:
    """What the Library page shows, as it stands in its URL.

    Of each filter, an entry must have one of the values; no values let everything pass.

    Args:
        optimizer: ``SINGLE`` for single-task runs, whose optimizer combines nothing.
        text: words that must all stand somewhere in what the table says of a run.
        chosen: keys of entries, in the order in which they were chosen.
        task: whose curves are drawn; None for the first that the chosen runs share.
    """

    setting: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    optimizer: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    text: str = ""
    chosen: tuple[str, ...] = ()
    task: str | None = None

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return self.unfiltered != self

    @property
    def unfiltered(self) -> "Search":
        """The same choice among all entries."""
        return Search(chosen=self.chosen, task=self.task)

    def passes(self, entry: Entry) -> bool:
        """Whether an entry passes all filters."""
        config = entry.config
        optimizer = config.optimizer if config.auxiliaries else SINGLE
        values = (config.setting, config.target, optimizer, entry.source, entry.answer.state)
        asked = (self.setting, self.target, self.optimizer, self.source, self.state)
        if not all(not some or value in some for some, value in zip(asked, values, strict=True)):
            return False
        words = self.text.casefold().split()
        return not words or all(word in _said(entry) for word in words)

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Entry]
    ) -> "tuple[Search, list[str]]":
        """What a URL asks for, and what in it could not be understood and was left out."""
        reader = Reader(query)
        read: dict[str, Any] = {
            name: reader.read(name, parse, getattr(cls, name), shown)
            for name, (parse, shown) in _PARSERS.items()
        }
        nothing: tuple[str, ...] = ()
        chosen = reader.read("run", _keys, nothing, "none")
        there = {entry.key for entry in found}
        gone = [
            f"in the URL, run: there is no run {key} here; it may have been deleted, or be on "
            "another machine"
            for key in chosen
            if key not in there
        ]
        search = cls(**read, chosen=tuple(key for key in chosen if key in there))
        return search, first_few([*reader.problems, *gone, *reader.foreign([*_PARSERS, "run"])])

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything, up to ``MOST_IN_URL`` chosen runs."""
        query = {
            name: " ".join(getattr(self, name))
            for name in ("setting", "target", "optimizer", "source", "state")
            if getattr(self, name)
        }
        if self.text:
            query["text"] = self.text
        if self.chosen:
            query["run"] = " ".join(self.chosen[:MOST_IN_URL])
        if self.task:
            query["task"] = self.task
        return query

    def without(self, keys: Iterable[str]) -> "Search":
        """The same with these entries no longer chosen."""
        gone = set(keys)
        return replace(self, chosen=tuple(key for key in self.chosen if key not in gone))


def entries(answers: Answers) -> tuple[Entry, ...]:
    """All runs, the newest first. Reads no trajectory, and the store once."""
    found = [
        Entry(run, Answer(artifact.config, "artifact", artifact=artifact))
        for run, artifact in answers.shipped.items()
    ]
    for record in answers.store.runs() if answers.store else []:
        key = f"own:{record.id}" if record.id in answers.shipped else record.id
        found.append(Entry(key, Answer(record.config, "store", record=record)))
    return tuple(sorted(found, key=lambda entry: -entry.created))


def table(found: Sequence[Entry]) -> "pd.DataFrame":
    """A row for each entry, with what can be said of it without its trajectory."""
    import pandas as pd

    columns: dict[str, Any] = {
        "source": [entry.source for entry in found],
        "state": [entry.answer.state for entry in found],
        "setting": [settings.get(entry.config.setting).title for entry in found],
        "target": [entry.config.target for entry in found],
        "auxiliaries": [" + ".join(entry.config.auxiliaries) for entry in found],
        "optimizer": [_optimizer(entry.config) for entry in found],
        "budget": [budget(entry.config) for entry in found],
        "seeds": [" ".join(map(str, entry.config.seeds)) for entry in found],
        "done": [entry.share for entry in found],
        "device": [entry.device for entry in found],
        "kind": [entry.kind for entry in found],
        "created": pd.to_datetime([entry.created for entry in found], unit="s", utc=True),
        "seconds": pd.array([entry.seconds for entry in found], dtype="Float64"),
        "id": [entry.config.id for entry in found],
    }
    return pd.DataFrame(columns)


@lru_cache(maxsize=16_384)
def budget(config: RunConfig) -> str:
    """The preset that a run's budget is closest to, and what differs; seeds are no part of it."""
    words = {
        name: differences(config.baseline, _preset(config, name))
        for name in settings.get(config.setting).presets
    }
    nearest = min(words, key=lambda name: len(words[name]))
    return " · ".join([nearest, *words[nearest]])


def labels(found: Sequence[Entry]) -> dict[str, str]:
    """What each entry is called beside the others, by key; no two are called the same."""
    if not found:
        return {}
    same_target = len({(one.config.setting, one.config.target) for one in found}) == 1
    others = _others([entry.config for entry in found])
    plain = {}
    for entry in found:
        words = [word for other in others for word in differences(entry.config, other)]
        words = list(dict.fromkeys(words))
        if len(words) > _MOST_WORDS:  # a table says them all; here they only tell runs apart
            words = [word for word in words if word == _title(entry.config)]
            words.append(entry.config.id[:8])
        name = " · ".join([label(entry.config), *words])
        plain[entry.key] = name if same_target else f"{entry.config.target}: {name}"
    counts = Counter(plain.values())
    return {
        key: name if counts[name] == 1 else f"{name} · {key.replace(':', ' ')}"
        for key, name in plain.items()
    }


def comparison(found: Sequence[Entry]) -> "pd.DataFrame":
    """Where runs differ: a row for each such field, a column for each run by its label.

    First what decides their numbers, in the order of RunConfig; then where they come from.
    """
    import pandas as pd

    named = labels(found)
    rows = {field.name: [_value(field.name, one) for one in found] for field in fields(RunConfig)}
    rows |= {
        "source": [entry.source for entry in found],
        "state": [entry.answer.state for entry in found],
        "kind": [entry.kind for entry in found],
        "device": [entry.device or "–" for entry in found],
        **{
            name: [_version(name, entry) for entry in found]
            for name in ("python", "torch", "numpy")
        },
        "data": [str(entry.answer.manifest.get("data_fingerprint", "–")) for entry in found],
    }
    differing = {name: values for name, values in rows.items() if len(set(values)) > 1}
    index = pd.Index([name.replace("_", " ") for name in differing], name="field")
    return pd.DataFrame(
        list(differing.values()), index=index, columns=[named[entry.key] for entry in found]
    )


def common_tasks(found: Sequence[Entry]) -> tuple[str, ...]:
    """The tasks that all runs have, in the order of the first; none across settings."""
    if len({entry.config.setting for entry in found}) != 1:
        return ()
    shared = set.intersection(*({*entry.config.tasks} for entry in found))
    return tuple(task for task in found[0].config.tasks if task in shared)


def trajectories(found: Sequence[Entry], answers: Answers) -> "pd.DataFrame":
    """The rows of runs with the column ``run_id`` before those of ``trajectory.COLUMNS``."""
    import pandas as pd

    once: dict[str, Entry] = {}
    for entry in found:
        once.setdefault(entry.config.id, entry)
    tables = [answers.trajectory(entry.answer) for entry in once.values()]
    for run, rows in zip(once, tables, strict=True):
        rows.insert(0, "run_id", run)
    return pd.concat([rows for rows in tables if len(rows)] or tables[:1], ignore_index=True)


def data_here(answer: Answer) -> tuple[bool | None, str]:
    """Whether a run was made on the data that this machine has (None: unknown), and in words."""
    made_on = answer.manifest.get("data_fingerprint")
    if made_on is None:
        return None, "not recorded"
    try:
        here = artifacts.data_fingerprint(answer.config)
    except InputError:
        return None, f"{made_on}; this machine does not have the data to compare"
    if here == made_on:
        return True, f"{made_on}, the same as on this machine"
    return False, f"{made_on}, other data than on this machine ({here})"


def question(found: Sequence[Entry]) -> Question:
    """What if's question that shows these runs: the first is asked for, the others are pinned.

    A run that no question asks for is pinned as well.
    """
    first = found[0]
    config = first.config
    group = smtos.Group(config.baseline, config.auxiliaries, {smtos.REFERENCE: first.answer})
    asked = smtos.question(group, [smtos.Entry.of(config)])
    alike = [
        entry.config.id
        for entry in (found[1:] if asked else found)
        if (entry.config.setting, entry.config.target) == (config.setting, config.target)
    ]
    if asked is None:
        preset = smtos.nearest_preset(config.baseline)
        asked = Question(config.setting, config.target, config.auxiliaries, preset)
    pins = [run for run in dict.fromkeys(alike) if run not in {one.id for one in asked.configs}]
    return replace(asked, pins=tuple(pins[:MOST_PINS]))


def smtos_selection(found: Sequence[Entry]) -> smtos.Selection | None:
    """What the SMTOs page shows of these: the optimizers of the first one's tasks and budget.

    None where no finished run among them has auxiliaries.
    """
    able = [one for one in found if one.config.auxiliaries and one.answer.state == "done"]
    if not able:
        return None
    first = able[0].config
    alike = [one.config for one in able if one.config.baseline == first.baseline]
    chosen = {smtos.Entry.of(c) for c in alike if c.auxiliaries == first.auxiliaries}
    return smtos.Selection(
        first.setting,
        first.target,
        smtos.budget_name(first.baseline),
        (first.auxiliaries,),
        tuple(sorted(chosen - {smtos.REFERENCE}, key=smtos.rank)),
    )


def remove(entry: Entry, answers: Answers) -> None:
    """Delete an own run or an imported artifact.

    Raises:
        InputError: for a run that ships with the app, or is running.
    """
    if entry.answer.artifact is not None:
        if not entry.answer.artifact.imported:
            raise InputError(f"run {entry.config.id} ships with the app and stays")
        exchange.remove(entry.answer.artifact.folder)
    elif answers.store is not None:
        answers.store.remove(entry.config.id)


def _others(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """A few among many configs, such that what differs at all differs from one of these."""
    found = [configs[0]]
    for field in fields(RunConfig):
        first = getattr(configs[0], field.name)
        found += [one for one in configs if getattr(one, field.name) != first][:1]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=256)
def _usual(setting: str, preset: str, target: str, seeds: tuple[int, ...]) -> RunConfig:
    return RunConfig.from_preset(setting, preset, target=target, seeds=seeds)


def _preset(config: RunConfig, name: str) -> RunConfig:
    return _usual(config.setting, name, config.target, config.seeds)


def _optimizer(config: RunConfig) -> str:
    """With the options that are not at their defaults; empty for a single task."""
    return smtos.Entry.of(config).label if config.auxiliaries else ""


def _title(config: RunConfig) -> str:
    return optimizers.rule(config.optimizer).title


def _value(name: str, entry: Entry) -> str:
    config = entry.config
    if name in ("optimizer", "options", "auxiliary_factors") and not config.auxiliaries:
        return "–"
    if name == "optimizer":
        return _title(config)
    return _written(getattr(config, name))


def _written(value: object) -> str:
    if value is None:
        return "all"
    if isinstance(value, tuple):
        return " ".join(_written(part) for part in value) or "none"
    return str(value).lower() if isinstance(value, bool) else format(value)


def _version(name: str, entry: Entry) -> str:
    versions = entry.answer.manifest.get("versions")
    return str(versions.get(name, "–")) if isinstance(versions, Mapping) else "–"


def _said(entry: Entry) -> str:
    """All words that a text is looked for in."""
    config = entry.config
    error = entry.answer.record.error if entry.answer.record else None
    words = (
        config.id,
        config.setting,
        settings.get(config.setting).title,
        config.target,
        " ".join(config.auxiliaries) or "single task",
        config.optimizer if config.auxiliaries else "",
        _optimizer(config),
        budget(config),
        entry.source,
        entry.answer.state,
        entry.device,
        entry.kind,
        error or "",
    )
    return "\n".join(words).casefold()


# Reading a URL.


def _some_of(kind: str, choices: Callable[[], Iterable[str]]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        known = list(choices())
        for word in text.split():
            if word not in known:
                raise unknown(kind, word, known)
        return tuple(name for name in known if name in text.split())

    return parse


def _tasks() -> list[str]:
    """Of all settings, each once."""
    every = (task.name for name in settings.names() for task in settings.get(name).tasks)
    return list(dict.fromkeys(every))


def _text(text: str) -> str:
    if len(text) > _MOST_TEXT:
        raise InputError(f"{len(text)} characters are more than {_MOST_TEXT}")
    return " ".join(text.split())


def _task(text: str) -> str:
    if text not in _tasks():
        raise unknown("task", text, _tasks())
    return text


def _keys(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if not _KEY.fullmatch(word):
            raise InputError(f"{quoted(word)} is not a run's id of 16 hex digits")
    if len(words) > MOST_IN_URL:
        raise InputError(f"{len(words)} runs are more than {MOST_IN_URL}")
    return words


_PARSERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "setting": (_some_of("setting", settings.names), "all"),
    "target": (_some_of("task", _tasks), "all"),
    "optimizer": (_some_of("optimizer", lambda: [SINGLE, *optimizers.names()]), "all"),
    "source": (_some_of("source", lambda: SOURCES), "all"),
    "state": (_some_of("state", lambda: STATES), "all"),
    "text": (_text, "none"),
    "task": (_task, "the first in common"),
}
"""Parameters beside the chosen runs: what reads them, and what the page takes instead."""
