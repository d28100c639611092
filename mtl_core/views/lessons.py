"""Lessons: which lesson and step are open, what was guessed, and the class, as a URL has them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mtl_core.errors import InputError, unknown
from mtl_core.views import codec, lesson_files
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.lesson_files import Broken, Lesson

__all__ = ["Place"]

NONE = "-"
"""Stands for a step without a guess."""
_LONGEST_CODE = 24


@dataclass(frozen=True)
class Place:
    """Where somebody is in the lessons.

    Args:
        lesson: its name; empty for the list of all.
        step: from 1.
        guesses: one a step, as the URL has it; ``NONE`` or left out at the end where there is none.
        shown: the steps whose outcome was asked for.
        code: of a class; empty without one. It may be wrong: only the server's classes know.
    """

    lesson: str = ""
    step: int = 1
    guesses: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()
    code: str = ""

    @property
    def found(self) -> Lesson | Broken | None:
        """The lesson that is open, as its file has it now."""
        return lesson_files.find(self.lesson) if self.lesson else None

    def guess(self, step: int) -> str | None:
        """What was guessed in a step, as the URL has it."""
        text = self.guesses[step - 1] if step <= len(self.guesses) else NONE
        return None if text == NONE else text

    def guessed(self, step: int, text: str) -> "Place":
        """The same with a guess in a step; one that was there is replaced."""
        padded = [*self.guesses, *[NONE] * (step - len(self.guesses))]
        padded[step - 1] = text
        return replace(self, guesses=tuple(padded))

    def revealed(self, step: int) -> "Place":
        """The same with the outcome of a step asked for."""
        return replace(self, shown=tuple(sorted({*self.shown, step})))

    def again(self) -> "Place":
        """The same lesson from its beginning, without guesses."""
        return Place(self.lesson, code=self.code)

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; those at their defaults are left out."""
        return codec.write(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Place, list[str]]":
        """The place that a URL names, and what in it could not be understood."""
        reading = codec.read(query, _FIELDS)
        return cls(**reading.values), reading.told


def _lesson(text: str, _: Values) -> str:
    if text not in (known := lesson_files.names()):
        raise unknown("lesson", text, known or ["none is here"])
    return text


def _steps(values: Values) -> int:
    """How many steps the lesson has; 1 for none."""
    found = lesson_files.find(values["lesson"]) if values["lesson"] else None
    return len(found.steps) if isinstance(found, Lesson) else 1


def _step(text: str, values: Values) -> int:
    number, most = codec.whole(text), _steps(values)
    if not 1 <= number <= most:
        raise InputError(f"there is no step {number}; this has {most}")
    return number


def _shown(text: str, values: Values) -> tuple[int, ...]:
    words = text.split()
    if len(words) > lesson_files.MOST_STEPS:
        raise InputError(f"{len(words)} steps are more than {lesson_files.MOST_STEPS}")
    return tuple(sorted({_step(word, values) for word in words}))


def _guesses(text: str, values: Values) -> tuple[str, ...]:
    found = lesson_files.find(values["lesson"]) if values["lesson"] else None
    if not isinstance(found, Lesson):
        raise InputError("there is no lesson to guess in")
    words = text.split()
    if len(words) > len(found.steps):
        raise InputError(f"{len(words)} guesses are more than its {len(found.steps)} steps")
    for word, step in zip(words, found.steps, strict=False):
        if word != NONE:
            step.guess.parse(word)
    return tuple(words)


def _code(text: str, _: Values) -> str:
    if len(text) > _LONGEST_CODE:
        raise InputError(f"{len(text)} characters are no class code")
    return text


_FIELDS: Entries = (
    Field("lesson", _lesson, default=Place.lesson, usually="the list of lessons"),
    Field("step", _step, default=Place.step),
    Field("guesses", _guesses, " ".join, default=Place.guesses),
    Field("shown", _shown, default=Place.shown),
    Field("class", _code, default=Place.code, at=("code",)),
)
