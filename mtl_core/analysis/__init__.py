"""What the numbers mean: bands over seeds, loss matching, significance, transfer, its factors.

Every function takes *trajectories*: the columns of ``mtl_core.trajectory`` plus ``curve``, the
label that tells one experiment's runs from another's on a page. Frames may be empty or partial, as
they are while a run is alive. What is compared with what is a ``Versus``.
"""

from mtl_core.analysis.aggregates import aggregate, aggregate_checkpoints, aggregate_comparison
from mtl_core.analysis.conflict import LEVEL, ConflictVerdict, conflict_verdict
from mtl_core.analysis.correlation import Correlation, correlate, similarity_points
from mtl_core.analysis.cosines import cosine_matrix, cosine_steps
from mtl_core.analysis.early import EarlyVerdict, GapCase, Support, early_verdict, gap_case
from mtl_core.analysis.loss_bins import PHASES, BinnedComparison, Phase, comparable, loss_bins
from mtl_core.analysis.loss_matching import (
    LOSS_FLOOR,
    LossMatchedGap,
    gap,
    loss_matched,
    metric_at_loss,
)
from mtl_core.analysis.onset import Onset, onset
from mtl_core.analysis.significance import Comparison, Verdict, compare
from mtl_core.analysis.smto import (
    SMTO_FACTORS,
    OptimizerVerdict,
    QuadrantVerdict,
    optimizer_verdicts,
    percent_change,
    quadrant_verdicts,
    smto_points,
)
from mtl_core.analysis.summary import mean_band
from mtl_core.analysis.table1 import (
    AGGREGATES,
    TABLE_COLUMNS,
    TABLE_FACTORS,
    Aggregate,
    Agreement,
    PublishedRow,
    TableRow,
    agreement,
    published_verdict,
    table_row,
    table_support,
    table_verdicts,
)
from mtl_core.analysis.transfer import transfer, transfer_table
from mtl_core.analysis.updates import weights_agree
from mtl_core.analysis.verdict import Case, FactorVerdict, Outcome, panel_verdicts, verdict
from mtl_core.analysis.versus import Versus

__all__ = [
    "AGGREGATES",
    "LEVEL",
    "LOSS_FLOOR",
    "PHASES",
    "SMTO_FACTORS",
    "TABLE_COLUMNS",
    "TABLE_FACTORS",
    "Aggregate",
    "Agreement",
    "BinnedComparison",
    "Case",
    "Comparison",
    "ConflictVerdict",
    "Correlation",
    "EarlyVerdict",
    "FactorVerdict",
    "GapCase",
    "LossMatchedGap",
    "Onset",
    "OptimizerVerdict",
    "Outcome",
    "Phase",
    "PublishedRow",
    "QuadrantVerdict",
    "Support",
    "TableRow",
    "Verdict",
    "Versus",
    "aggregate",
    "aggregate_checkpoints",
    "aggregate_comparison",
    "agreement",
    "comparable",
    "compare",
    "conflict_verdict",
    "correlate",
    "cosine_matrix",
    "cosine_steps",
    "early_verdict",
    "gap",
    "gap_case",
    "loss_bins",
    "loss_matched",
    "mean_band",
    "metric_at_loss",
    "onset",
    "optimizer_verdicts",
    "panel_verdicts",
    "percent_change",
    "published_verdict",
    "quadrant_verdicts",
    "similarity_points",
    "smto_points",
    "table_row",
    "table_support",
    "table_verdicts",
    "transfer",
    "transfer_table",
    "verdict",
    "weights_agree",
]
