"""The codec of all URLs: fields that depend on each other, families, and what cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mtl_core.errors import InputError
from mtl_core.views import codec
from mtl_core.views.codec import Entries, Field, Reading, Values
from mtl_core.views.what_if import Question


@dataclass(frozen=True)
class Menu:
    """A view with everything that views have."""

    kitchen: str = "north"
    dish: str = "soup"
    guests: tuple[int, ...] = (1, 2)
    loud: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)
    amounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


LEVELS = ("low", "high")
DISHES = {"north": ("soup", "bread"), "south": ("rice",)}


def dish(text: str, values: Values) -> str:
    found: str = codec.one_of("dish", DISHES[values["kitchen"]])(text, values)
    return found


def extras(_: Values) -> list[Field]:
    return [
        Field("salt", codec.number, default=1.5, at=("extras", "salt")),
        Field("most_salt", codec.or_all(codec.whole), default=9, at=("extras", "most_salt")),
    ]


def amounts(values: Values) -> list[Field]:
    name = values["dish"]
    return [Field(f"{name}.plates", codec.whole, default=1, at=("amounts", name, "plates"))]


FIELDS: Entries = (
    Field("kitchen", codec.one_of("kitchen", DISHES), default="north", always=True),
    Field("dish", dish, default=lambda values: DISHES[values["kitchen"]][0]),
    Field("guests", codec.parse_seeds, default=(1, 2), usually="two of us"),
    Field(
        "noise",
        codec.either("noise", LEVELS),
        LEVELS.__getitem__,
        default=False,
        at=("loud",),
    ),
    extras,
    amounts,
)


def fits(values: Values) -> object:
    found = values.get("extras", {})
    if found.get("salt", 1.5) > (found.get("most_salt", 9) or 99):
        raise InputError("too much salt")
    return None


def read(**query: str) -> Reading:
    return codec.read({name.replace("__", "."): text for name, text in query.items()}, FIELDS, fits)


@pytest.mark.parametrize(
    ("menu", "query"),
    [
        (Menu(), {"kitchen": "north"}),
        (Menu("south", "rice"), {"kitchen": "south"}),
        (Menu(dish="bread", guests=(3,)), {"kitchen": "north", "dish": "bread", "guests": "3"}),
        (Menu(loud=True), {"kitchen": "north", "noise": "high"}),
        (
            Menu(extras={"salt": 20.0, "most_salt": None}, amounts={"soup": {"plates": 3}}),
            {"kitchen": "north", "salt": "20.0", "most_salt": "all", "soup.plates": "3"},
        ),
    ],
)
def test_views_come_back_and_say_what_differs(menu: Menu, query: dict[str, str]) -> None:
    assert codec.write(menu, FIELDS) == query
    reading = codec.read(query, FIELDS, fits)
    assert reading.told == []
    assert Menu(**reading.values) == menu


def test_a_default_in_a_mapping_is_left_out() -> None:
    values = read(salt="1.5", most_salt="9", soup__plates="1").values
    assert Menu(**values) == Menu()


def test_what_was_read_before_decides_what_may_follow() -> None:
    assert read(kitchen="south", dish="rice").told == []
    reading = read(kitchen="south", dish="soup", soup__plates="2")
    assert Menu(**reading.values) == Menu("south", "rice")
    assert reading.told == [
        "in the URL, dish: unknown dish 'soup'; one of: rice; using rice instead",
        "in the URL, unknown parameter 'soup.plates'; one of: dish, guests, kitchen, most_salt, "
        "noise, rice.plates, salt; ignored",
    ]


def test_a_family_is_taken_together_or_one_by_one() -> None:
    assert read(salt="20", most_salt="30").values["extras"] == {"salt": 20.0, "most_salt": 30}
    reading = read(salt="20", most_salt="15")
    assert reading.values["extras"] == {"most_salt": 15}
    assert reading.told == ["in the URL, salt: too much salt; using 1.5 instead"]


def test_the_default_is_named_as_the_page_names_it() -> None:
    (line,) = read(guests="").told
    assert line == (
        "in the URL, guests: no seeds; give at least one, such as 0 1 2; using two of us instead"
    )


@pytest.mark.parametrize("name", ["amp;dish", "amp;amp;dish"])
def test_names_are_read_as_they_were_meant(name: str) -> None:
    reading = codec.read({"kitchen": "north", name: "bread"}, FIELDS)
    assert (reading.values["dish"], reading.told) == ("bread", [])
    both = codec.read({name: "bread", "dish": "soup"}, FIELDS)
    assert (both.values["dish"], both.told) == ("soup", []), "what is there as it is counts"


def test_what_was_encoded_once_more_is_parted() -> None:
    """``kitchen=north%26amp%3Bdish%3Dbread`` arrives as one value."""
    reading = codec.read({"kitchen": "north&amp;dish=bread&amp;amp;noise=3"}, FIELDS)
    assert (reading.values["kitchen"], reading.values["dish"]) == ("north", "bread")
    both = codec.read({"kitchen": "north&amp;dish=bread", "dish": "soup"}, FIELDS)
    assert (both.values["dish"], both.told) == ("soup", []), "what is there as it is counts"


def test_what_others_add_to_links_is_left_out() -> None:
    added = {"utm_source": "mail", "amp;utm_medium": "x", "fbclid": "7", "gclid": "8"}
    reading = codec.read({"kitchen": "north", "dish": "bread", **added}, FIELDS)
    assert (reading.values["dish"], reading.told) == ("bread", [])
    assert len(codec.read({"um_source": "x"}, FIELDS).told) == 1


@pytest.mark.parametrize("end", [".", ";", ").", '"', "!?", "]"])
def test_a_sentences_end_behind_a_link_does_not_count(end: str) -> None:
    reading = codec.read({"kitchen": "north", "dish": f"bread{end}"}, FIELDS)
    assert (reading.values["dish"], reading.told) == ("bread", [])
    (line,) = codec.read({"kitchen": "north", "dish": f"breath{end}"}, FIELDS).told
    assert codec.quoted(f"breath{end}") in line


def test_a_link_out_of_a_pages_source_asks_the_same_question() -> None:
    question, problems = Question.from_query({"setting": "fashion", "amp;target": "fashion2"})
    assert (question.target, problems) == ("fashion2", [])


def test_long_texts_and_many_problems_are_cut() -> None:
    reading = read(kitchen="k" * 10**6, noise="n" * 10**6, salt="1" * 10**5, **{"x" * 10**5: ""})
    assert len(reading.told) == 4
    assert all(len(line) < 200 for line in reading.told)
    reading = read(noise="x", **{f"x{number}": "" for number in range(20)})
    assert len(reading.told) == 9
    assert reading.told[0].startswith("in the URL, noise: ")
    assert reading.told[-1] == "and 13 more such"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (codec.flag, "true", True),
        (codec.whole, "-12", -12),
        (codec.number, "1e-3", 0.001),
        (codec.or_all(codec.whole), "all", None),
        (codec.some_of("word", lambda _: ("a", "b", "c")), "c a c", ("a", "c")),
        (codec.some_of("word", lambda _: ("a",), none=True), " ", ()),
        (codec.ids(2, "pins"), "0123456789abcdef " * 2, ("0123456789abcdef",)),
        (codec.parse_seeds, "2, 1", (2, 1)),
    ],
)
def test_what_is_understood(parse: codec.Parse, text: str, value: object) -> None:
    assert parse(text, {}) == value


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (codec.flag, "1", "'1' is neither true nor false"),
        (codec.whole, "1.5", "'1.5' is not a whole number"),
        (codec.whole, "9" * 31, "is not a whole number"),
        (codec.number, "nan", "'nan' is not a number"),
        (codec.number, "1e999", "'1e999' is not a number"),
        (codec.or_all(codec.whole), "few", "'few' is not a whole number, nor all"),
        (codec.one_of("word", "ab"), "c", "unknown word 'c'; one of: a, b"),
        (codec.some_of("word", lambda _: ("a",)), "", "unknown word ''; one of: a"),
        (codec.ids(2, "pins"), "0123", "'0123' is not a run's id of 16 hex digits"),
        (codec.ids(0, "pins"), "0" * 16, "1 pins are more than 0"),
        (codec.parse_seeds, "-1", "seed '-1' is not a whole number; write seeds like 0 1 2"),
    ],
)
def test_what_is_not_understood(parse: codec.Parse, text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, {})
    assert words in str(error.value)


@pytest.mark.parametrize("value", [0.0, 1.0, 100.0, 0.1, 1 / 3, 1e-7, 123456789.0])
def test_short_numbers_read_back_the_same(value: float) -> None:
    assert float(codec.show_short(value)) == value
