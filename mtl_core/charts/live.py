"""Rows of a live chart, parted so that an update sends and draws what is new.

A browser draws all marks of a data set anew when any of its rows has changed, and twelve curves
have hundreds of points. So those that stay stand apart from the newest, and rows that draw nothing
are left out. What is seen is the same.
"""

import numpy as np
import pandas as pd

__all__ = ["BLOCK", "bent", "parted", "with_width"]

BLOCK = 8
"""Points of a curve that become earlier ones together: sent and drawn for the last time."""
_STRAIGHT = 1e-9
"""How far a point may lie off the straight line between its neighbours, as a share of its height
there, to be on it."""


def parted(
    rows: pd.DataFrame, *, ends: int = 0, block: int = BLOCK
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The points that all curves have long had, and the newer ones.

    Args:
        rows: points with ``curve``, in their order within each.
        ends: 1 for lines: the last point of each may yet move, and the newer part begins at the
            point at which the earlier one ends.
        block: how many points of a curve become earlier ones together.

    Returns:
        Both with all columns of ``rows``, the earlier ones also ``earlier``, so that the two never
        have the same bytes.
    """
    numbers, labels = pd.factorize(rows["curve"])
    counts = np.bincount(numbers, minlength=len(labels))
    order = np.argsort(numbers, kind="stable")
    place = np.empty(len(rows), dtype=int)
    place[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    cut = max(int(counts.min(initial=len(rows))) - ends, 0) // block * block
    earlier = rows[place < cut].reset_index(drop=True).assign(earlier=True)
    return earlier, rows[place >= (cut - ends if cut else 0)].reset_index(drop=True)


def with_width(lines: pd.DataFrame) -> pd.DataFrame:
    """The bands of curves that have one: those of a single seed have no width anywhere."""
    wide = (lines["high"] != lines["low"]) & lines["low"].notna()
    kept = lines["curve"].isin(lines.loc[wide, "curve"].unique())
    return lines.loc[kept, ["curve", "train_loss", "low", "high"]].reset_index(drop=True)


def bent(lines: pd.DataFrame, *, log_y: bool) -> pd.DataFrame:
    """Lines without the points that lie on the straight line between their neighbours.

    Args:
        lines: ``curve, train_loss, value``, with falling loss within a curve; the loss is drawn on
            a logarithmic axis.
        log_y: whether the value is, too.
    """
    if len(lines) < 3:
        return lines
    curve = lines["curve"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log(lines["train_loss"].to_numpy(dtype=float))
        y = lines["value"].to_numpy(dtype=float)
        y = np.log(y) if log_y else y
        share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        off = np.abs(y[:-2] + share * (y[2:] - y[:-2]) - y[1:-1])
        scale = 1.0 if log_y else np.abs(y[1:-1])
        # NaN is not below anything: where a line breaks, its points stay.
        straight = (off <= _STRAIGHT * scale) & (curve[:-2] == curve[2:])
    keep = np.concatenate([[True], ~straight, [True]])
    return lines[keep].reset_index(drop=True)
