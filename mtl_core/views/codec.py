"""URLs: a page's view as query parameters, by one declarative list of fields.

A URL is user input: what is not understood falls back to its default and is named.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from mtl_core.errors import InputError, quoted, unknown

__all__ = [
    "MOST_PINS",
    "RUN_ID",
    "Entries",
    "Family",
    "Field",
    "Parse",
    "Reading",
    "Values",
    "either",
    "flag",
    "ids",
    "mended",
    "number",
    "one_of",
    "or_all",
    "parse_seeds",
    "read",
    "show",
    "show_short",
    "some_of",
    "whole",
    "write",
]

Values = Mapping[str, Any]
"""Fields of a view by name, as far as they were read."""
Parse = Callable[[str, Values], Any]
"""A parameter's text, and what was read before it, to a value. Raises InputError."""

MOST_PINS = 12
RUN_ID = re.compile(r"[0-9a-f]{16}")
_MOST_PROBLEMS = 8
_MOST_SEEDS = 64
_LONGEST_NUMBER = 30
_ENTITY = re.compile(r"^(?:amp;)+", re.IGNORECASE)
_WITHIN = re.compile(r"&(?:amp;)+([A-Za-z_][\w.]*)=", re.IGNORECASE)
_COUNTERS = re.compile(r"utm_\w+|fbclid|gclid|msclkid|mc_[ce]id", re.IGNORECASE)
"""Parameters that mail programs and social networks add to links."""
_AROUND = ".;:!?'\")]}>*_…"
"""What stands behind a link in a sentence, and is taken for its end; no comma, which lists have."""
_NOTHING: Values = MappingProxyType({})
_ABSENT = object()


def show(value: Any) -> str:
    """A value as it stands in a URL and in words."""
    if value is None:
        return "all"
    if isinstance(value, tuple):
        return " ".join(map(show, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return format(value)


def show_short(value: float) -> str:
    """A number as short as reads back the same."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


@dataclass(frozen=True)
class Field:
    """A parameter of a page's URL.

    Args:
        name: of the parameter.
        parse: makes a value of its text and of the values before it. Raises InputError.
        show: the text of a value, which ``parse`` understands.
        default: the value without the parameter, or a function of the values before it.
        at: where the value stands in the view: a field's name, then keys of mappings in it; the
            parameter's name if left out. A mapping holds nothing that is at its default.
        always: whether a URL says it at its default too.
        usually: what a page calls the default, where that is not the text of it.
    """

    name: str
    parse: Parse
    show: Callable[[Any], str] = show
    default: Any = None
    at: tuple[str, ...] = ()
    always: bool = False
    usually: str = ""

    @property
    def place(self) -> tuple[str, ...]:
        return self.at or (self.name,)

    def usual(self, values: Values) -> Any:
        """The default, given these values."""
        return self.default(values) if callable(self.default) else self.default


Family = Callable[[Values], Iterable[Field]]
"""Fields that depend on the values before them, or that must fit together."""
Entries = Sequence[Field | Family]


@dataclass
class Reading:
    """What was read from a URL.

    Args:
        values: fields of the view, at their defaults where the URL says nothing or nonsense.
        problems: a line for each parameter that could not be understood, in the fields' order.
        foreign: a line for each parameter that the page does not have.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def told(self) -> list[str]:
        """As many of the lines as fit on a page."""
        lines = [*self.problems, *self.foreign]
        more = len(lines) - _MOST_PROBLEMS
        return lines if more <= 0 else [*lines[:_MOST_PROBLEMS], f"and {more} more such"]


def _anything(values: Values) -> object:
    """Fits."""
    return values


def read(
    query: Mapping[str, str], entries: Entries, fits: Callable[[Values], object] = _anything
) -> Reading:
    """The values of a URL, field after field.

    Args:
        fits: raises InputError for values that cannot be taken together. Of a family all are taken
            if they fit together, and otherwise one by one those that fit.
    """
    query = mended(query)
    reading = Reading()
    known: set[str] = set()
    for entry in entries:
        family = list(entry(reading.values)) if callable(entry) else [entry]
        known |= {one.name for one in family}
        _read_family(query, family, reading, fits)
    reading.foreign = [
        f"in the URL, {unknown('parameter', name, sorted(known))}; ignored"
        for name in query
        if name not in known
    ]
    return reading


def write(view: Any, entries: Entries) -> dict[str, str]:
    """The query parameters that say everything of a view, a dataclass."""
    values = {one.name: getattr(view, one.name) for one in fields(view)}
    query = {}
    for entry in entries:
        for one in entry(values) if callable(entry) else (entry,):
            value = _found(values, one.place)
            # What stands in a mapping is not at its default.
            nested = len(one.place) > 1
            if value is not _ABSENT and (one.always or nested or value != one.usual(values)):
                query[one.name] = one.show(value)
    return query


def mended(query: Mapping[str, str]) -> dict[str, str]:
    """Parameters by the names that were meant, of a link that was mangled on the way.

    A page's source writes ``&amp;`` between them, a mail program or wiki encodes that once more, so
    that it arrives in a value, and others add parameters of their own, to count by. Where one is
    there as it was meant too, that counts.
    """
    parts = [part for name, text in query.items() for part in _parted(name, text)]
    plain = {name for name, _ in parts if not _ENTITY.match(name)}
    found: dict[str, str] = {}
    for name, text in parts:
        meant = _ENTITY.sub("", name)
        if (meant == name or meant not in plain) and not _COUNTERS.fullmatch(meant):
            found.setdefault(meant, text)
    return found


def _parted(name: str, text: str) -> Iterator[tuple[str, str]]:
    """A parameter, and those that its text ends in, each with its name as it came."""
    first, *others = _WITHIN.split(text)
    yield name, first
    for meant, own in zip(others[::2], others[1::2], strict=True):
        yield f"amp;{meant}", own


# What parameters are made of.


def flag(text: str, _: Values = _NOTHING) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise InputError(f"{quoted(text)} is neither true nor false")
    return text == "true"


def either(kind: str, words: tuple[str, str]) -> Parse:
    """A flag that is written as one of two words, the first for False."""
    parse = one_of(kind, words)
    return lambda text, values: parse(text, values) == words[1]


def whole(text: str, _: Values = _NOTHING) -> int:
    """A whole number of any sign."""
    return int(_number(int, text))


def number(text: str, _: Values = _NOTHING) -> float:
    """A finite number of any sign."""
    return float(_number(float, text))


def or_all(parse: Parse) -> Parse:
    """The same, or ``all`` for None."""

    def parse_or_all(text: str, values: Values = _NOTHING) -> Any:
        if text == "all":
            return None
        try:
            return parse(text, values)
        except InputError as error:
            raise InputError(f"{error}, nor all") from None

    return parse_or_all


def one_of(kind: str, choices: Iterable[str]) -> Parse:
    """One of some words; ``kind`` is what they are called."""
    known = list(choices)

    def parse(text: str, _: Values = _NOTHING) -> str:
        if text not in known:
            raise unknown(kind, text, known)
        return text

    return parse


def some_of(kind: str, choices: Callable[[Values], Iterable[str]], *, none: bool = False) -> Parse:
    """Some of the words that the values before allow, in their order.

    Args:
        none: whether it may be none of them.
    """

    def parse(text: str, values: Values = _NOTHING) -> tuple[str, ...]:
        known = list(choices(values))
        words = text.split() if none else text.split() or [text]
        for word in words:
            if word not in known:
                raise unknown(kind, word, known)
        return tuple(name for name in known if name in words)

    return parse


def ids(
    most: int, noun: str, known: re.Pattern[str] = RUN_ID, *, single: str = "a run's id"
) -> Parse:
    """Ids in their order, each once; ``noun`` is what they are called together."""

    def parse(text: str, _: Values = _NOTHING) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(text.split()))
        for word in words:
            if not known.fullmatch(word):
                raise InputError(f"{quoted(word)} is not {single} of 16 hex digits")
        if len(words) > most:
            raise InputError(f"{len(words)} {noun} are more than {most}")
        return words

    return parse


def parse_seeds(text: str, _: Values = _NOTHING) -> tuple[int, ...]:
    """``"0 1 2"`` to (0, 1, 2); raises InputError for anything but whole numbers."""
    words = text.replace(",", " ").split()
    for word in words:
        if not re.fullmatch(r"[0-9]{1,10}", word):
            raise InputError(f"seed {quoted(word)} is not a whole number; write seeds like 0 1 2")
    if len(words) > _MOST_SEEDS:
        raise InputError(f"{len(words)} seeds are more than {_MOST_SEEDS}; give fewer")
    if not words:
        raise InputError("no seeds; give at least one, such as 0 1 2")
    return tuple(int(word) for word in words)


# How it is done.


def _read_family(
    query: Mapping[str, str],
    family: Sequence[Field],
    reading: Reading,
    fits: Callable[[Values], object],
) -> None:
    found: list[tuple[Field, Any]] = []
    before = reading.values
    for one in family:
        if one.name in query:
            try:
                found.append((one, _parsed(one, query[one.name], before)))
            except InputError as error:
                reading.problems.append(_problem(one, error, before))
        if len(one.place) == 1:
            reading.values = {**reading.values, one.place[0]: one.usual(before)}
    try:
        _take(found, before, reading, fits)
    except InputError as error:
        if len(found) == 1:
            reading.problems.append(_problem(found[0][0], error, before))
            return
        for one, value in found:
            try:
                _take([(one, value)], before, reading, fits)
            except InputError as wrong:
                reading.problems.append(_problem(one, wrong, before))


def _parsed(one: Field, text: str, before: Values) -> Any:
    """The value of a text; one that says nothing as it is may have a sentence's end behind it."""
    try:
        return one.parse(text, before)
    except InputError:
        short = text.rstrip(_AROUND)
        if short == text or not short:
            raise
        with suppress(InputError):
            return one.parse(short, before)
        raise


def _take(
    found: Sequence[tuple[Field, Any]],
    before: Values,
    reading: Reading,
    fits: Callable[[Values], object],
) -> None:
    """Put values into the reading. Raises InputError where they do not fit."""
    values: Mapping[str, Any] = reading.values
    for one, value in found:
        usual = _ABSENT if len(one.place) == 1 else one.usual(before)
        values = _placed(values, one.place, value, usual)
    if found:
        fits(values)
    reading.values = dict(values)


def _placed(values: Values, place: Sequence[str], value: Any, usual: Any) -> dict[str, Any]:
    """The values with one more; a mapping in them stays without what is at its default."""
    first, *inner = place
    if inner:
        value = _placed(values.get(first, {}), inner, value, usual)
    if value == usual or value == {}:
        return {name: kept for name, kept in values.items() if name != first}
    return {**values, first: value}


def _found(values: Values, place: Sequence[str]) -> Any:
    for name in place:
        if name not in values:
            return _ABSENT
        values = values[name]
    return values


def _problem(one: Field, error: InputError, values: Values) -> str:
    usual = one.usually or one.show(one.usual(values)) or "none"
    return f"in the URL, {one.name}: {error}; using {usual} instead"


def _number(kind: type[int] | type[float], text: str) -> int | float:
    try:
        value = kind(text) if len(text) <= _LONGEST_NUMBER else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{quoted(text)} is not a {'whole ' if kind is int else ''}number")
    return value
