"""What the numbers mean: bands over seeds, loss matching, significance, transfer.

Every function takes *trajectories*: the columns of ``mtl_core.trajectory`` plus ``curve``, the
label that tells one run from another on a page. Frames may be empty or partial, as they are while
a run is alive.
"""

from mtl_core.analysis.loss_matching import (
    LOSS_FLOOR,
    LossMatchedGap,
    gap,
    loss_matched,
    metric_at_loss,
)
from mtl_core.analysis.significance import Comparison, Verdict, compare
from mtl_core.analysis.summary import mean_band
from mtl_core.analysis.transfer import transfer, transfer_table

__all__ = [
    "LOSS_FLOOR",
    "Comparison",
    "LossMatchedGap",
    "Verdict",
    "compare",
    "gap",
    "loss_matched",
    "mean_band",
    "metric_at_loss",
    "transfer",
    "transfer_table",
]
