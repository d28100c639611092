"""The library: all experiments, what its table says of them, and how chosen ones differ."""

import calendar
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs.kinds import Experiment
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answer, Answers, Origin
from mtl_core.runs.library.artifacts import grouped
from mtl_core.runs.queue.listing import Runs
from mtl_core.views import codec, vocabulary
from mtl_core.views.vocabulary import Words

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Entry",
    "common_tasks",
    "comparison",
    "entries",
    "labels",
    "provenance",
    "remove",
    "rows",
    "table",
]

_MOST_WORDS = 3


@dataclass(frozen=True)
class Entry:
    """An experiment in the library, with those of its runs that come from one source.

    Args:
        key: its id; with its source and a colon before it where another source has that too.
        answer: its runs from this source, and no others.
    """

    key: str
    source: Origin
    answer: Answer

    @property
    def config(self) -> Any:
        return self.answer.config

    @cached_property
    def words(self) -> Words:
        return vocabulary.words(self.config)

    @cached_property
    def created(self) -> float:
        """When the last of its runs was finished or, before that, queued; seconds since 1970."""
        if records := self.answer.records:
            return max(record.finished_at or record.queued_at for record in records)
        return max((_time(group.get("created")) for group in self.answer.made), default=0.0)

    @property
    def seconds(self) -> float | None:
        """How long its runs took together, so far; None where that was not recorded."""
        if records := self.answer.records:
            return sum(record.seconds for record in records) or None
        return sum(float(group.get("duration_seconds", 0)) for group in self.answer.made) or None

    @cached_property
    def line(self) -> Mapping[str, Any]:
        """What can be said of it without its rows, by the columns of a table."""
        said = self.words
        return {
            "kind": self.config.kind,
            "source": self.source,
            "state": self.answer.state,
            "setting": said.title or said.label,
            "target": said.target,
            "auxiliaries": " + ".join(said.auxiliaries),
            "optimizer": said.method_label,
            "budget": said.budget,
            "seeds": codec.show(self.config.seeds),
            "done": self.answer.share,
            "device": self.answer.said("device"),
            "numbers": self.answer.numbers,
            "created": self.created,
            "seconds": self.seconds,
            "id": self.config.id,
        }


def entries(answers: Answers) -> tuple[Entry, ...]:
    """All experiments: own ones, those that were asked for last first, then the others by age.

    Reads no table, and of the store what has changed since the last time.
    """
    return answers.derive("entries", lambda: _entries(answers), finished=False)


def _entries(answers: Answers) -> tuple[Entry, ...]:
    shipped, imported = answers.shipped, answers.imported
    others = [
        Entry(run, "shipped", Answer(one.config, shipped=one)) for run, one in shipped.items()
    ]
    others += [
        Entry(_key(run, "imported", shipped), "imported", Answer(one.config, imported=one))
        for run, one in imported.items()
    ]
    own = answers.store.listing().experiments if answers.store else {}
    return (
        *(
            runs.derive(key, partial(_own, key, runs))
            for run, runs in own.items()
            for key in (_key(run, "own", shipped, imported),)
        ),
        *sorted(others, key=lambda entry: -entry.created),
    )


def _key(run: str, source: Origin, *others: Mapping[str, object]) -> str:
    return f"{source}:{run}" if any(run in there for there in others) else run


def _own(key: str, runs: Runs) -> Entry:
    """An experiment in the store with as many of its runs as one config can ask for."""
    seeds = sorted(runs.records)[: checks.MOST_SEEDS]
    return Entry(key, "own", Answer(checks.with_seeds(runs.config, seeds), own=runs.records))


def _time(written: object) -> float:
    """A manifest's time as seconds since 1970; 0 where it cannot be read."""
    try:
        return float(calendar.timegm(time.strptime(str(written)[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0


def remove(entry: Entry, answers: Answers) -> None:
    """Delete own runs or an imported artifact.

    Raises:
        InputError: for what ships with the app, and while one of the runs is running.
    """
    if entry.source == "shipped":
        raise InputError(f"experiment {entry.config.id} ships with the app and stays")
    if entry.source == "imported":
        exchange.remove(entry.answer.artifacts[0].folder)
    elif answers.store is not None:
        answers.store.remove(entry.config.id, entry.config.seeds)


# What is said of them.


def table(found: Sequence[Entry]) -> "pd.DataFrame":
    """A row for each entry, with what can be said of it without its rows."""
    import pandas as pd

    lines = [entry.line for entry in found]
    columns: dict[str, Any] = {name: [line[name] for line in lines] for name in _COLUMNS}
    columns["created"] = pd.to_datetime(columns["created"], unit="s", utc=True)
    columns["seconds"] = pd.array(columns["seconds"], dtype="Float64")
    return pd.DataFrame(columns)


_COLUMNS = (
    "kind",
    "source",
    "state",
    "setting",
    "target",
    "auxiliaries",
    "optimizer",
    "budget",
    "seeds",
    "done",
    "device",
    "numbers",
    "created",
    "seconds",
    "id",
)
"""Of the table: the fields of an entry's line."""


def labels(found: Sequence[Entry]) -> dict[str, str]:
    """Each entry's label among the others, by key; no two are the same."""
    places = {(*_subject(entry), entry.words.target) for entry in found}
    alike: dict[tuple[str, str], list[Experiment]] = {}
    for entry in found:
        alike.setdefault(_subject(entry), []).append(checks.with_seeds(entry.config, (0,)))
    telling = {subject: _telling(configs) for subject, configs in alike.items()}
    plain = {}
    for entry in found:
        said = entry.words
        name = " · ".join([said.label, *_differences(entry, telling[_subject(entry)])])
        where = said.target or said.title
        plain[entry.key] = name if len(places) == 1 or not where else f"{where}: {name}"
    counts = Counter(plain.values())
    return {
        entry.key: name
        if counts[name := plain[entry.key]] == 1
        else f"{name} · {entry.source} {entry.config.id}"
        for entry in found
    }


def _subject(entry: Entry) -> tuple[str, str]:
    return str(entry.config.kind), entry.words.subject


def _telling(configs: Sequence[Any]) -> list[Any]:
    """A few among many configs, such that what differs at all differs from one of these."""
    found = [configs[0]]
    for field in fields(configs[0]):
        first = getattr(configs[0], field.name)
        found += [one for one in configs if getattr(one, field.name) != first][:1]
    return list(dict.fromkeys(found))


def _differences(entry: Entry, others: Sequence[Any]) -> list[str]:
    """In which an entry differs from any of these: a table says all, here they tell it apart."""
    own = checks.with_seeds(entry.config, (0,))
    differences = vocabulary.of(entry.config.kind).differences
    found = list(dict.fromkeys(word for one in others for word in differences(own, one)))
    if len(found) <= _MOST_WORDS:
        return found
    return [*(word for word in found if word == entry.words.method_title), entry.config.id[:8]]


def comparison(found: Sequence[Entry]) -> "pd.DataFrame":
    """Where entries differ: a row for each such field, a column for each entry by its label.

    First what decides their numbers, in the order of their configs, where they are of one kind;
    then where they come from.
    """
    import pandas as pd

    named = labels(found)
    alike = len({entry.config.kind for entry in found}) == 1
    names = [field.name for field in fields(found[0].config)] if alike else []
    lines = {name: [_value(name, entry) for entry in found] for name in names}
    lines |= {
        "kind": [str(entry.config.kind) for entry in found],
        "source": [entry.source for entry in found],
        "state": [entry.answer.state for entry in found],
        "numbers": [entry.answer.numbers for entry in found],
        "device": [entry.answer.said("device") for entry in found],
        **{
            name: [_version(name, entry) for entry in found]
            for name in ("python", "torch", "numpy")
        },
        "data": [entry.answer.said("data_fingerprint") for entry in found],
    }
    differing = {name: values for name, values in lines.items() if len(set(values)) > 1}
    index = pd.Index([name.replace("_", " ") for name in differing], name="field")
    columns = [named[entry.key] for entry in found]
    return pd.DataFrame(list(differing.values()), index=index, columns=columns)


def _value(name: str, entry: Entry) -> str:
    shown = entry.words.shown.get(name)
    return codec.show(getattr(entry.config, name)) if shown is None else shown


def _version(name: str, entry: Entry) -> str:
    said = (group.get("versions", {}).get(name) for group in entry.answer.made)
    return "; ".join(dict.fromkeys(str(one) for one in said if one)) or "–"


def provenance(answer: Answer) -> list[dict[str, str]]:
    """Where the numbers come from: a row for each group of runs that were made alike."""
    made = grouped(answer.made) if answer.records else answer.made
    return [
        {
            "seeds": codec.show(tuple(group["seeds"])),
            "created": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(_time(group["created"]))),
            "duration": f"{float(group.get('duration_seconds', 0)):,.1f} s",
            "device": str(group.get("device", "–")),
            "versions": ", ".join(f"{k} {v}" for k, v in group.get("versions", {}).items()) or "–",
            "data": _data(answer, group.get("data_fingerprint")),
        }
        for group in made
    ]


def _data(answer: Answer, made_on: object) -> str:
    """The data that runs were made on, compared with this machine's."""
    if made_on in (None, "unknown"):
        return "not recorded"
    try:
        here = answer.kind.fingerprint(answer.config)
    except InputError:
        return f"{made_on}; this machine does not have the data to compare"
    same = "the same as" if here == made_on else "other data than"
    return f"{made_on}, {same} on this machine" + ("" if here == made_on else f" ({here})")


def common_tasks(found: Sequence[Entry]) -> tuple[str, ...]:
    """The tasks that all entries have, in the order of the first; none across settings."""
    if len({*map(_subject, found)}) != 1:
        return ()
    shared = set.intersection(*({*entry.words.tasks} for entry in found))
    return tuple(task for task in found[0].words.tasks if task in shared)


def rows(found: Sequence[Entry], answers: Answers) -> "pd.DataFrame":
    """The main table of entries of one kind, each run once; ``experiment``, its id, comes first."""
    import pandas as pd

    taken: dict[str, set[int]] = {}
    parts = []
    for entry in found:
        before = taken.setdefault(entry.config.id, set())
        own = answers.main(entry.answer)
        part = own[~own["seed"].isin(before)].copy()
        part.insert(0, "experiment", entry.config.id)
        parts.append(part)
        before |= {*entry.config.seeds}
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
