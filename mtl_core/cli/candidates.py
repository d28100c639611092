"""What commands on auxiliary candidates share: which these are, and where the table goes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_options", "write"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the setting, the target, its candidates, the budget, and the table's file."""
    parser.add_argument("--setting", required=True)
    parser.add_argument("--target", help="default: the setting's usual one")
    parser.add_argument("--candidates", nargs="+", metavar="TASK", help="default: all other tasks")
    parser.add_argument("--preset", default="quick", help="default: quick")
    parser.add_argument(
        "--most", type=int, default=10, metavar="SEEDS", help="of each training; default: 10"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="the table")


def write(table: "pd.DataFrame", out: Path | None) -> None:
    """Write the table, where a file is named.

    Raises:
        InputError: when that is impossible.
    """
    if out is None:
        return
    try:
        table.to_csv(out, index=False)
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror})") from error
