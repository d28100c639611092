"""Numerals: what is a number, what only looks like one, and what may be two."""

import pytest

from mtl_core.pareto.problems import numerals


@pytest.mark.parametrize(
    ("text", "comma", "expected"),
    [
        ("1.5", False, 1.5),
        ("-1e3", False, -1000),
        ("1,5", True, 1.5),
        ("-0,25e2", True, -25),
        (",5", True, 0.5),
        ("1,250", True, 1.25),
        ("12", True, 12),
        ("1,5", False, None),
        ("1.5", True, None),
        ("1,250,000", True, None),
        ("1.250,5", True, None),
        ("1_000", False, None),
        ("red", True, None),
    ],
)
def test_a_number_has_one_decimal_mark(text: str, comma: bool, expected: float | None) -> None:
    assert numerals.number(text, comma=comma) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1,5", "20"], True),
        (["1,250", "0,125"], True),
        (["1,250", "2,500"], False),
        (["1,250", "1,5000"], True),
        (["1", "2.5"], False),
        (["1,250,000"], False),
    ],
)
def test_a_comma_is_decimal_where_it_can_be_nothing_else(texts: list[str], expected: bool) -> None:
    assert numerals.comma_is_decimal(texts) == expected


ALIKE = (
    "5", "-.5", "1,5", "1,250", "1.250,5", "1,250.50", "12,34,567", "1 250", "1\u00a0250",
    "1\u202f250,5", "1'250", "1’250", "1_000", "5%", "5 %", "€ 5", "5,00 €", "$1,250", "-£5", "(5)",
    "−5", "1,5e3",
)  # fmt: skip
UNLIKE = (
    "red", "a1", "1st", "3 kg", "18-25", "2024-01-01", "01.02.2024", "12.3.4", "12:30", "4x4", "",
    "-", "%", "1/2", "1,2,3", "nan", "inf",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [*((t, True) for t in ALIKE), *((t, False) for t in UNLIKE)]
)
def test_what_looks_like_a_number(text: str, expected: bool) -> None:
    assert numerals.looks_like_number(text) == expected


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (["3 kg", "5.5 kg"], "kg"),
        (["3m", "-5m"], "m"),
        (["3 kg", "red"], ""),
        (["3 kg", "500 g"], ""),
        (["1st", "2nd", "3rd"], ""),
        (["4th", "5th"], ""),
    ],
)
def test_one_unit_behind_all(texts: list[str], unit: str) -> None:
    assert numerals.same_unit(texts) == unit
