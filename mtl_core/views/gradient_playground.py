"""What the gradient playground shows, as it stands in a URL."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mtl_core import optimizers
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.views import codec
from mtl_core.views.codec import Entries, Field, Parse, Values

__all__ = ["LENGTHS", "MOST_SEED", "PRESETS", "VIEWS", "Playground", "preset"]

LENGTHS = (0.0, *(float(f"{m}e{e}") for e in (-2, -1, 0, 1) for m in (1, 1.5, 2, 3, 5, 7)), 100.0)
"""Lengths and, but for 0, losses that the sliders step through; a URL may name any in between."""
VIEWS = ("linear", "log")
"""How the chart draws lengths."""
MOST_SEED = 999_999
_TASKS = 3
_FEW = ("umtg", "mgda", "pcgrad", "cagrad", "nash_mtl", "upgrad")


@dataclass(frozen=True)
class Playground:
    """Two or three gradients in the plane, and the methods that combine them.

    Args:
        angles: of the three gradients, whole degrees from −180 to 180, counter-clockwise from
            the right.
        lengths: of the three gradients, from 0 to 100.
        losses: of the three tasks, from 0.01 to 100.
        third: whether the third task takes part.
        methods: names of those shown, in the order of the registry.
        scale: ``raw`` or ``match_sum``.
        view: one of ``VIEWS``.
        seed: of the methods that draw at random, from 0 to ``MOST_SEED``.

    Raises:
        InputError: for a value out of its range.
    """

    angles: tuple[int, ...] = (15, 150, -100)
    lengths: tuple[float, ...] = (1.0, 2.0, 1.0)
    losses: tuple[float, ...] = (1.0, 1.0, 1.0)
    third: bool = False
    methods: tuple[str, ...] = ()
    scale: str = "raw"
    view: str = "linear"
    seed: int = 0

    def __post_init__(self) -> None:
        _within("angle", self.angles, -180, 180)
        _within("length", self.lengths, LENGTHS[0], LENGTHS[-1])
        _within("loss", self.losses, LENGTHS[1], LENGTHS[-1])
        _within("seed", (self.seed,), 0, MOST_SEED)
        _one_of("scale", self.scale, optimizers.SCALE.choices)
        _one_of("view", self.view, VIEWS)
        for name in self.methods:
            optimizers.rule(name)
        if self.methods != _ordered(self.methods):
            object.__setattr__(self, "methods", _ordered(self.methods))

    @classmethod
    def default(cls) -> "Playground":
        """Two tasks in conflict, and a handful of methods."""
        return cls(methods=_ordered(_FEW))

    @property
    def tasks(self) -> int:
        """K."""
        return _TASKS if self.third else _TASKS - 1

    @property
    def gradients(self) -> tuple[tuple[float, float], ...]:
        """(K, 2)."""
        pairs = zip(self.angles, self.lengths, strict=True)
        return tuple(_vector(angle, length) for angle, length in pairs)[: self.tasks]

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; losses, scale, view and seed only if not usual."""
        return codec.write(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Playground, list[str]]":
        """The playground that a URL describes, and what in it could not be understood."""
        reading = codec.read(query, _FIELDS, lambda values: cls(**values))
        return cls(**reading.values), reading.told


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "aligned": {"angles": (20, 75), "lengths": (1.0, 1.5), "view": "linear"},
        "conflict": {"angles": (15, 150), "lengths": (1.0, 2.0), "view": "linear"},
        "opposite": {"angles": (0, 180), "lengths": (1.0, 1.0), "view": "linear"},
        "1 against 100": {"angles": (0, 120), "lengths": (1.0, 100.0), "view": "log"},
        "three in conflict": {
            "angles": (10, 115, -110),
            "lengths": (1.0, 1.5, 0.7),
            "view": "linear",
        },
    }
)
"""Gradients to start from, by what is to be seen; two or three angles and lengths of each."""


def preset(playground: Playground, name: str) -> Playground:
    """The gradients of a preset with unit losses; methods, scale and seed stay.

    Raises:
        InputError: for an unknown name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    found = PRESETS[name]
    return replace(
        playground,
        angles=(*found["angles"], *playground.angles[len(found["angles"]) :]),
        lengths=(*found["lengths"], *playground.lengths[len(found["lengths"]) :]),
        losses=Playground.losses,
        third=len(found["angles"]) == _TASKS,
        view=found["view"],
    )


def _vector(angle: int, length: float) -> tuple[float, float]:
    """Rounded to 1e-15 of the length, so that opposite gradients are exactly opposite."""
    across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return length * (round(across, 15) + 0.0), length * (round(up, 15) + 0.0)


def _ordered(methods: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in optimizers.names() if name in methods)


def _within(kind: str, values: tuple[float, ...], least: float, most: float) -> None:
    for value in values:
        if not least <= value <= most:
            raise InputError(f"{kind} {quoted(value)} is not between {least:g} and {most:g}")


def _one_of(kind: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise unknown(kind, value, choices)


# The URL.


def _three(name: str, parse: Parse) -> Parse:
    """Two or three values; a third that is not given stays."""

    def parse_three(text: str, values: Values) -> tuple[Any, ...]:
        words = text.split()
        if len(words) not in (_TASKS - 1, _TASKS):
            raise InputError(f"{quoted(text)} is not two or three numbers, one for each task")
        found = tuple(parse(word, values) for word in words)
        return (*found, *getattr(Playground, name)[len(found) :])

    return parse_three


def _show_three(values: tuple[float, ...]) -> str:
    return " ".join(map(codec.show_short, values))


def _methods(text: str, _: Values) -> tuple[str, ...]:
    if text in ("all", "none"):
        return tuple(optimizers.names()) if text == "all" else ()
    if not text.split():
        raise InputError("no methods; write none, all, or names like umtg mgda")
    return tuple(text.split())


def _show_methods(methods: tuple[str, ...]) -> str:
    return "all" if methods == tuple(optimizers.names()) else codec.show(methods)


_FIELDS: Entries = (
    Field(
        "angles",
        _three("angles", codec.whole),
        default=Playground.angles,
        always=True,
    ),
    Field(
        "lengths",
        _three("lengths", codec.number),
        _show_three,
        default=Playground.lengths,
        always=True,
    ),
    Field("losses", _three("losses", codec.number), _show_three, default=Playground.losses),
    Field("third", codec.flag, default=Playground.third),
    Field(
        "methods",
        _methods,
        _show_methods,
        default=lambda _: Playground.default().methods,
        always=True,
    ),
    Field("scale", codec.one_of("scale", optimizers.SCALE.choices), default=Playground.scale),
    Field("view", codec.one_of("view", VIEWS), default=Playground.view),
    Field("seed", codec.whole, default=Playground.seed),
)
