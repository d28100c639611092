"""Spreadsheets: tables as CSV for programs that take text for formulas."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv"]

_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r\n]")


def csv(frame: "pd.DataFrame") -> str:
    """A table as CSV whose texts no spreadsheet program computes.

    A text that begins as a formula does gets an apostrophe before it, which such programs hide, as
    OWASP recommends; numbers stay as they are.
    """
    plain = frame.rename(columns=_harmless)
    for name in plain.columns[[not _numeric(kind) for kind in plain.dtypes]]:
        plain[name] = plain[name].map(_harmless)
    return plain.to_csv(index=False)


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _numeric(kind: object) -> bool:
    return getattr(kind, "kind", "O") in "biufcmM"
