"""Lesson files: what a teacher writes, one Markdown file a lesson, read strictly.

The format is described in ``docs/lessons.md``. A front matter of ``name: value`` lines, then a
heading a step; below it the question, and then fields, each a line that begins with its name. The
lines below a field that are indented, or begin with a dash, belong to it.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from mtl_core import factors
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.kept import Kept
from mtl_core.places import shipped
from mtl_core.views import measures
from mtl_core.views.what_if import Question

__all__ = [
    "MEASURES",
    "MOST_WORDS",
    "UNCLEAR",
    "Broken",
    "Choice",
    "Lesson",
    "Sketch",
    "Slider",
    "Step",
    "find",
    "folder",
    "lessons",
    "names",
    "read",
]

MOST_WORDS = 60
"""Of a question, and of what is learned."""
MOST_STEPS = 12
MOST_RUNS = 4
MOST_BYTES = 64 * 1024
MOST_LESSONS = 200
UNCLEAR = "unclear"
"""The option of whoever thinks that the runs will not tell."""
SIGNS = ("better", "worse")
MEASURES: Mapping[str, tuple[str, str]] = {
    "transfer": SIGNS,
    "gap": SIGNS,
    "cosine": ("higher", "lower"),
    **dict.fromkeys(factors.explaining(), ("explains", "opposes")),
}
"""What a step may ask about, and how that may turn out where the runs tell."""

_NAME = re.compile(r"[a-z0-9_]{1,60}")
_FIELD = re.compile(r"([a-z]+):(?:\s+(.*))?")
_OPTION = re.compile(r"-\s+([a-z]+):\s+(.+)")
_SLIDER = re.compile(r"slider from (\S+) to (\S+)(?: pt)?")
_STEP_FIELDS = ("guess", "run", "judge", "expect", "learned")
_HEAD_FIELDS = ("title", "order", "minutes", "summary")
_SLIDER_STEPS = 60  # about as many places as a hand can tell apart
_LONGEST_TITLE, _LONGEST_SUMMARY = 80, 300
_read: Kept["Lesson | Broken"] = Kept(most=MOST_LESSONS)


@dataclass(frozen=True)
class Choice:
    """A prediction by one of several answers; ``options`` maps outcomes to their words."""

    options: Mapping[str, str]

    def parse(self, text: str) -> str:
        """An answer as it stands in a URL. Raises InputError."""
        if text not in self.options:
            raise unknown("answer", text, self.options)
        return text


@dataclass(frozen=True)
class Slider:
    """A prediction by a number: percentage points, or whatever the measure is in."""

    low: float
    high: float

    @property
    def step(self) -> float:
        """Between two places: 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / _SLIDER_STEPS
        power = 10.0 ** math.floor(math.log10(rough))
        return float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9)))

    def parse(self, text: str) -> float:
        """A number as it stands in a URL. Raises InputError."""
        value = _number(text)
        if value is None or not self.low <= value <= self.high:
            raise InputError(f"{quoted(text)} is not from {self.low:g} to {self.high:g}")
        return value


@dataclass(frozen=True)
class Sketch:
    """A prediction by a drawn curve: test accuracy in percent at even places of the training."""

    points: int = 9

    def parse(self, text: str) -> tuple[int, ...]:
        """Heights as they stand in a URL, with dots between. Raises InputError."""
        heights = text.split(".")
        if len(heights) != self.points or not all(re.fullmatch(r"\d{1,3}", h) for h in heights):
            raise InputError(f"{quoted(text)} is not a curve of {self.points} heights")
        return tuple(min(int(height), 100) for height in heights)


Guess = Choice | Slider | Sketch


@dataclass(frozen=True)
class Step:
    """One question of a lesson.

    Args:
        question: Markdown of at most ``MOST_WORDS`` words.
        runs: what is trained, as What if asks it; all against one single task.
        measure: one of ``MEASURES``.
        against_first: whether the last curve is compared with the first, not with the single task.
        expect: the outcome that the author has seen; empty where the lesson promises none.
        learned: Markdown; what was learned, and where it stops being true.
    """

    title: str
    question: str
    guess: Guess
    runs: tuple[Question, ...]
    measure: str
    against_first: bool
    expect: str
    learned: str

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """The experiments beside their single task, in the order of the file."""
        return tuple(dict.fromkeys(config for run in self.runs for config in run.configs))


@dataclass(frozen=True)
class Lesson:
    """A lesson; ``name`` is that of its file."""

    name: str
    title: str
    order: int
    minutes: int
    summary: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Broken:
    """A lesson file that cannot be read, and why: with file, line and the way out."""

    name: str
    problem: str


def folder() -> Path:
    """Where lesson files are."""
    return shipped("lessons")


def lessons() -> list[Lesson | Broken]:
    """All lessons by their order, then those that cannot be read."""
    found = [_known(path) for path in _files()]
    good = [one for one in found if isinstance(one, Lesson)]
    return [
        *sorted(good, key=lambda one: (one.order, one.title)),
        *(one for one in found if isinstance(one, Broken)),
    ]


def names() -> list[str]:
    """Of the lessons that can be opened, those with an error included."""
    return [path.stem for path in _files() if _NAME.fullmatch(path.stem)]


def find(name: str) -> Lesson | Broken | None:
    """The lesson of this name; None where there is no file of it."""
    path = next((path for path in _files() if path.stem == name), None)
    return None if path is None else _known(path)


def read(path: Path) -> Lesson:
    """A lesson from its file. Raises InputError with file, line and the way out."""
    if not _NAME.fullmatch(path.stem):
        raise InputError(
            f"{_shown(path)}: links cannot have this name; write it in small letters, digits and "
            "underscores"
        )
    try:
        text = path.read_bytes()[: MOST_BYTES + 1]
        if len(text) > MOST_BYTES:
            raise _Wrong(1, f"the file is larger than {MOST_BYTES // 1024} KB; split the lesson")
        return _lesson(path.stem, text.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError:
        raise InputError(f"{_shown(path)} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{_shown(path)} cannot be read: {error.strerror}") from None
    except _Wrong as wrong:
        raise InputError(f"{_shown(path)}, line {wrong.line}: {wrong.said}") from None


class _Wrong(Exception):
    """What is wrong in which line."""

    def __init__(self, line: int, said: str) -> None:
        super().__init__(said)
        self.line, self.said = line, said


def _files() -> list[Path]:
    return sorted(folder().glob("*.md"))[:MOST_LESSONS]


def _known(path: Path) -> Lesson | Broken:
    """The file as it is now; one that has not changed is not read again."""
    try:
        found = path.stat()
        version: Any = (found.st_mtime_ns, found.st_size)
    except OSError:
        version = None
    return _read.get(path, lambda: _read_or_broken(path), version)


def _read_or_broken(path: Path) -> Lesson | Broken:
    try:
        return read(path)
    except InputError as error:
        return Broken(path.stem, str(error))


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


# The parts of a file. Lines are counted from 1.

_Lines = Sequence[tuple[int, str]]


def _lesson(name: str, text: Sequence[str]) -> Lesson:
    lines = list(enumerate((line.rstrip() for line in text), start=1))
    head, body = _front_matter(lines)
    values = dict(_fields(head, _HEAD_FIELDS))
    for wanted in _HEAD_FIELDS:
        if wanted not in values:
            raise _Wrong(1, f"the front matter has no {wanted}; write a line {wanted}: …")
    steps = tuple(_step(title, inner) for title, inner in _sections(body))
    if not steps:
        raise _Wrong(len(lines) or 1, "there is no step; begin one with a line ## Its title")
    if len(steps) > MOST_STEPS:
        raise _Wrong(1, f"{len(steps)} steps are more than {MOST_STEPS}; make two lessons of it")
    return Lesson(
        name,
        _short(values["title"], _LONGEST_TITLE),
        _whole(values["order"]),
        _whole(values["minutes"]),
        _short(values["summary"], _LONGEST_SUMMARY),
        steps,
    )


def _front_matter(lines: _Lines) -> tuple[_Lines, _Lines]:
    marks = [place for place, (_, line) in enumerate(lines) if line == "---"]
    if len(marks) < 2 or any(line for _, line in lines[: marks[0]]):
        raise _Wrong(1, "no front matter; begin with --- and end it with another line ---")
    return lines[marks[0] + 1 : marks[1]], lines[marks[1] + 1 :]


def _sections(body: _Lines) -> Iterator[tuple[tuple[int, str], _Lines]]:
    """Each step's heading, and the lines below it."""
    starts = [place for place, (_, line) in enumerate(body) if line.startswith("## ")]
    before = body[: starts[0]] if starts else body
    if stray := next((number for number, line in before if line), None):
        raise _Wrong(stray, "a text before the first step; begin the step with a line ## Its title")
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        number, line = body[start]
        yield (number, line.removeprefix("## ").strip()), body[start + 1 : end]


_Value = tuple[int, str, list[tuple[int, str]]]
"""A field's line, its text there, and the lines that belong to it."""


def _fields(lines: _Lines, known: Sequence[str]) -> Iterator[tuple[str, _Value]]:
    found: dict[str, list[_Value]] = {}
    last = ""
    for number, line in lines:
        if not line:
            continue
        match = _FIELD.fullmatch(line)
        if match:
            last = match[1]
            if last not in known:
                raise _Wrong(number, str(unknown("field", last, known)))
            if last in found and last != "run":
                raise _Wrong(number, f"a second {last}; keep one of them")
            found.setdefault(last, []).append((number, match[2] or "", []))
        elif last and line.startswith((" ", "- ")):
            found[last][-1][2].append((number, line.strip()))
        else:
            raise _Wrong(
                number,
                f"{quoted(line)} belongs to no field; write field: value, or indent the line to go "
                "on with the field above",
            )
    for name, values in found.items():
        yield from ((name, value) for value in values)


def _step(heading: tuple[int, str], lines: _Lines) -> Step:
    number, title = heading
    first = next((place for place, (_, line) in enumerate(lines) if _begins(line)), len(lines))
    question = "\n".join(line for _, line in lines[:first]).strip()
    fields = list(_fields(lines[first:], _STEP_FIELDS))
    values = dict(fields)
    for wanted in ("guess", "run", "learned"):
        if wanted not in values:
            said = f"the step {quoted(title)} has no {wanted}; add a line {wanted}: …"
            raise _Wrong(number, said)
    _counted("question", question, number)
    runs = [value for name, value in fields if name == "run"]
    if len(runs) > MOST_RUNS:
        raise _Wrong(runs[-1][0], f"{len(runs)} runs are more than {MOST_RUNS}; take some out")
    questions = tuple(_question(value) for value in runs)
    measure, against_first = _judged(values.get("judge"))
    learned = _joined(values["learned"])
    _counted("learned", learned, values["learned"][0])
    step = Step(
        _short((number, title, []), _LONGEST_TITLE),
        question,
        _guess(values["guess"], measure),
        questions,
        measure,
        against_first,
        _expected(values.get("expect"), measure),
        learned,
    )
    _comparable(step, runs[-1][0])
    return step


def _begins(line: str) -> bool:
    """Whether a line is the first of a step's fields."""
    match = _FIELD.fullmatch(line)
    return match is not None and match[1] in _STEP_FIELDS


def _question(value: _Value) -> Question:
    number, text = value[0], _joined(value, "")
    query = text.rpartition("?")[2]
    found = dict(parse_qsl(query, keep_blank_values=True))
    if "setting" not in found:
        raise _Wrong(number, f"{quoted(text)} is no question; copy the address of the What if page")
    question, problems = Question.from_query(found)
    if problems:
        said = problems[0].removeprefix("in the URL, ").partition("; using")[0]
        raise _Wrong(number, f"{said}; copy the address of the What if page anew")
    return question


def _comparable(step: Step, number: int) -> None:
    """All of a step's runs have one single task to be compared with."""
    if any(not config.auxiliaries for config in step.configs):
        raise _Wrong(number, "a run without auxiliary tasks; its single task is trained anyway")
    # Configs of other seeds are equal, but their single tasks are other runs.
    alone = {(config.baseline, config.seeds) for run in step.runs for config in run.configs}
    if len(alone) > 1:
        raise _Wrong(
            number,
            "the runs of a step have to share setting, target, budget and seeds, so that one "
            "single task stands beside them all",
        )
    config = step.configs[0]
    if isinstance(step.guess, Sketch) and not measures.measure(config.setting, config.target).share:
        raise _Wrong(number, "a sketch is of a share, such as accuracy; ask by a slider instead")
    if step.against_first and len(step.configs) < 2:
        raise _Wrong(number, "there is no first run beside the last; add another run: …")
    if step.measure in factors.explaining() and len(step.configs) < 2:
        raise _Wrong(number, "a factor is judged over two runs or more; add another run: …")


def _judged(value: _Value | None) -> tuple[str, bool]:
    if value is None:
        return "transfer", False
    number, text = value[0], _joined(value)
    measure, _, against = text.partition(" against ")
    if measure not in MEASURES:
        raise _Wrong(number, str(unknown("measure", measure, MEASURES)))
    if against not in ("", "alone", "the first run"):
        raise _Wrong(number, str(unknown("comparison", against, ("alone", "the first run"))))
    if against == "the first run" and MEASURES[measure] != SIGNS:
        raise _Wrong(number, f"{measure} is not compared with the first run; leave that out")
    return measure, against == "the first run"


def _guess(value: _Value, measure: str) -> Guess:
    number, text, below = value
    outcomes = MEASURES[measure]
    if text == "choice":
        return Choice(_options(number, below, outcomes))
    match = _SLIDER.fullmatch(text)
    if match is None and text != "sketch":
        said = ("choice", "slider from LOW to HIGH pt", "sketch")
        raise _Wrong(number, str(unknown("guess", text, said)))
    if below:
        raise _Wrong(below[0][0], "only guess: choice has answers below it; take them out")
    if match is None:
        if measure != "transfer":
            raise _Wrong(number, f"a sketch cannot tell of {measure}; judge transfer")
        return Sketch()
    if outcomes == ("explains", "opposes"):
        raise _Wrong(number, f"{measure} has no number to guess; write guess: choice")
    low, high = (_number(end) for end in match.groups())
    if low is None or high is None or not low < high or high - low > 1e6:
        raise _Wrong(number, f"{quoted(text)} has no two ends, the smaller first")
    return Slider(low, high)


def _options(number: int, lines: _Lines, outcomes: Sequence[str]) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for place, line in lines:
        match = _OPTION.fullmatch(line)
        if match is None:
            raise _Wrong(place, f"{quoted(line)} is no answer; write - {outcomes[0]}: its words")
        if match[1] not in (*outcomes, UNCLEAR):
            raise _Wrong(place, str(unknown("outcome", match[1], (*outcomes, UNCLEAR))))
        options[match[1]] = _short((place, match[2], []), _LONGEST_SUMMARY)
    for wanted in outcomes:
        if wanted not in options:
            raise _Wrong(number, f"no answer for {wanted}; add a line - {wanted}: its words")
    return options


def _expected(value: _Value | None, measure: str) -> str:
    if value is None:
        return ""
    text, known = _joined(value), (*MEASURES[measure], UNCLEAR)
    if text not in known:
        raise _Wrong(value[0], str(unknown("outcome", text, known)))
    return text


# Values of fields.


def _joined(value: _Value, between: str = " ") -> str:
    return between.join([value[1], *(line for _, line in value[2])]).strip()


def _short(value: _Value, most: int) -> str:
    text = _joined(value)
    if not 1 <= len(text) <= most:
        raise _Wrong(value[0], f"{len(text)} characters; write from 1 to {most}")
    return text


def _whole(value: _Value) -> int:
    text = _joined(value)
    if not re.fullmatch(r"\d{1,3}", text):
        raise _Wrong(value[0], f"{quoted(text)} is not a whole number from 0 to 999")
    return int(text)


def _counted(what: str, text: str, number: int) -> None:
    words = len(text.split())
    if not 1 <= words <= MOST_WORDS:
        raise _Wrong(number, f"{words} words of {what}; write from 1 to {MOST_WORDS}")


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("−", "-")) if len(text) <= 20 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
