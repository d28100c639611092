"""What a chart's alt text says of its numbers: rounded, with their unit, a few of many."""

import math
from collections.abc import Mapping, Sequence

__all__ = ["apart", "each", "names", "number", "sentence"]

MOST_NAMED = 4
"""Curves that are named one by one; of more, the highest and the lowest are."""


def number(value: float, value_format: str) -> str:
    """A value in plain rounding, with its unit.

    >>> number(0.8234, "%"), number(0.012345, ".3~g"), number(1234.5, ".3~g")
    ('82.3 %', '0.012', '1200')
    """
    if value_format.endswith("%"):
        return f"{_plain(100 * value, 1)} %"
    return _significant(value)


def apart(difference: float, value_format: str) -> str:
    """A difference in plain rounding: of shares, in points.

    >>> apart(0.0631, "%"), apart(-0.09, "%"), apart(-0.012, ".3~g"), apart(0.0001, "%")
    ('6.3 points above', '9 points below', '0.012 below', 'level with')
    """
    share = value_format.endswith("%")
    size = _plain(100 * abs(difference), 1) if share else _significant(abs(difference))
    if size == "0":
        return "level with"
    unit = f" point{'' if size == '1' else 's'}" if share else ""
    return f"{size}{unit} {'above' if difference > 0 else 'below'}"


def each(values: Mapping[str, float], value_format: str) -> str:
    """Every curve's value, or of many the highest and the lowest; empty where none is known.

    >>> each({"alone": 0.8, "+ b": 0.85}, "%")
    'alone 80 %, + b 85 %'
    >>> each({name: float(name) for name in "12345"}, ".3~g")
    'highest 5 of 5 curves, 5; lowest 1, 1'
    """
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    if len(known) <= MOST_NAMED:
        return ", ".join(f"{name} {number(value, value_format)}" for name, value in known.items())
    high, low = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    return (
        f"highest {high} of {len(known)} curves, {number(known[high], value_format)}; lowest "
        f"{low}, {number(known[low], value_format)}"
    )


def sentence(words: str) -> str:
    """The words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def names(labels: Sequence[str]) -> str:
    """The curves' names, or of many their number."""
    return ", ".join(labels) if len(labels) <= MOST_NAMED else f"{len(labels)} curves"


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _significant(value: float) -> str:
    """Two significant digits, without an exponent where a reader can do without."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.2g}")
    if 1e-4 <= abs(rounded) < 1e7:
        return _plain(rounded, max(0, 1 - math.floor(math.log10(abs(rounded)))))
    return f"{value:.1e}"
