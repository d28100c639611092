"""Numerals: which number a text is, where the decimal mark may be a point or a comma.

A comma is a decimal mark where some number of the file cannot be read otherwise, such as ``1,5`` or
``0,125``. What can be read in two ways, such as ``1,250``, is not guessed at.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["ambiguous", "comma_is_decimal", "looks_like_number", "number", "same_unit"]

_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""What may as well be a whole number with a separator of thousands."""
_NUMERAL = re.compile(
    r"""
    [+-]?\s?(?:
        \d+(?:[.,]\d*)? | [.,]\d+                             # 1250  1,5  .5
      | \d{1,3}(?P<mark>[.,'_\ ])\d{3}(?:(?P=mark)\d{3})*(?:[.,]\d*)?   # 1.250,5  1 250
      | \d{1,2}(?:,\d{2})+,\d{3}(?:\.\d*)?                      # 1,00,000
    )(?:[eE][+-]?\d+)?
    """,
    re.VERBOSE,
)
_WITH_UNIT = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)\s?(?P<unit>[^\W\d_]+)")
_ORDINALS = ("st", "nd", "rd", "th")


def number(text: str, *, comma: bool) -> float | None:
    """The number that a text is, with a decimal comma or point; None where it is none."""
    if comma and "." in text:
        return None
    if comma:
        if "," in text and not _DECIMAL_COMMA.fullmatch(text):
            return None
        text = text.replace(",", ".")
    try:
        # float() would also take 1_000, which no table means.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def comma_is_decimal(texts: Iterable[str]) -> bool:
    """Whether some of these numbers can be read only with a decimal comma."""
    return any(
        "," in text and _DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text)
        for text in texts
    )


def ambiguous(text: str) -> bool:
    """Whether a text is a number with a decimal comma and another with thousands, as 1,250 is."""
    return _THOUSANDS.fullmatch(text) is not None


def looks_like_number(text: str) -> bool:
    """Whether a text is a number in some country's or trade's way of writing.

    So are ``1,250``, ``1.250,5``, ``1 250``, ``5 %``, ``€ 5``, ``(5)`` and ``−5``.
    """
    plain = "".join(map(_ascii, text)).strip()
    if plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1]
    return _NUMERAL.fullmatch(plain.strip()) is not None


def same_unit(texts: Sequence[str]) -> str:
    """The unit that all of these numbers are followed by, as in ``3 kg``; else empty."""
    found = [_WITH_UNIT.fullmatch(text) for text in texts]
    units = {match["unit"] for match in found if match}
    if None in found or len(units) != 1 or units & {*_ORDINALS}:
        return ""
    return units.pop()


def _ascii(letter: str) -> str:
    """A sign or separator as ASCII has it; nothing for a currency or per cent."""
    kind = unicodedata.category(letter)
    if kind == "Sc" or letter in "%‰":
        return ""
    if letter in "\u2212\u2013":  # a minus, and the dash that stands for one
        return "-"
    if letter in "\u2019\u02bc`´":  # apostrophes between thousands
        return "'"
    return " " if kind == "Zs" else letter
