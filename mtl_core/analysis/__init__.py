"""What the numbers mean: bands over seeds, loss matching, significance, transfer, its factors.

Every function takes *trajectories*: the columns of ``mtl_core.trajectory`` plus ``curve``, the
label that tells one experiment's runs from another's on a page. Frames may be empty or partial, as
they are while a run is alive. What is compared with what is a ``Versus``,
and what comes out is a ``Comparison``: a paired interval, which decides, and the paper's ± 2 SD.
"""

from mtl_core.analysis.aggregates import (
    FEWEST_EPOCHS,
    aggregate,
    aggregate_checkpoints,
    aggregate_comparison,
    footnote_applies,
)
from mtl_core.analysis.conflict import FEWEST_SETS, LITTLE, ConflictVerdict, conflict_verdict
from mtl_core.analysis.correlation import (
    READINGS,
    Correlation,
    Reading,
    correlate,
    similarity_points,
)
from mtl_core.analysis.cosines import cosine_matrix, cosine_steps
from mtl_core.analysis.early import (
    EARLY_LOSS,
    EarlyVerdict,
    Finding,
    GapCase,
    early_verdict,
    gap_case,
    judged_cases,
)
from mtl_core.analysis.intervals import LEVEL, MOST_NEEDED, Interval, holm, seeds_needed
from mtl_core.analysis.loss_bins import PHASES, BinnedComparison, Phase, comparable, loss_bins
from mtl_core.analysis.loss_matching import (
    LOSS_FLOOR,
    LossMatchedGap,
    gap,
    loss_matched,
    metric_at_loss,
)
from mtl_core.analysis.onset import Onset, onset
from mtl_core.analysis.sets import SetsCorrelation, correlate_sets, spans_decades
from mtl_core.analysis.significance import Comparison, Verdict, compare, judged
from mtl_core.analysis.smto import (
    SMTO_FACTORS,
    OptimizerVerdict,
    QuadrantOutcome,
    QuadrantVerdict,
    SmtoCase,
    judged_smtos,
    optimizer_verdicts,
    percent_change,
    quadrant_verdicts,
    smto_cases,
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
    judged_rows,
    published_refuted,
    table_cases,
    table_row,
    table_verdicts,
)
from mtl_core.analysis.transfer import reached, transfer, transfer_table
from mtl_core.analysis.updates import weights_agree
from mtl_core.analysis.verdict import (
    DEEP,
    FEWEST_SEEDS,
    Case,
    FactorVerdict,
    Outcome,
    factor_support,
    factor_verdicts,
    panel_verdicts,
    paper_verdict,
)
from mtl_core.analysis.versus import Versus

__all__ = [
    "AGGREGATES",
    "DEEP",
    "EARLY_LOSS",
    "FEWEST_EPOCHS",
    "FEWEST_SEEDS",
    "FEWEST_SETS",
    "LEVEL",
    "LITTLE",
    "LOSS_FLOOR",
    "MOST_NEEDED",
    "PHASES",
    "READINGS",
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
    "Finding",
    "GapCase",
    "Interval",
    "LossMatchedGap",
    "Onset",
    "OptimizerVerdict",
    "Outcome",
    "Phase",
    "PublishedRow",
    "QuadrantOutcome",
    "QuadrantVerdict",
    "Reading",
    "SetsCorrelation",
    "SmtoCase",
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
    "correlate_sets",
    "cosine_matrix",
    "cosine_steps",
    "early_verdict",
    "factor_support",
    "factor_verdicts",
    "footnote_applies",
    "gap",
    "gap_case",
    "holm",
    "judged",
    "judged_cases",
    "judged_rows",
    "judged_smtos",
    "loss_bins",
    "loss_matched",
    "mean_band",
    "metric_at_loss",
    "onset",
    "optimizer_verdicts",
    "panel_verdicts",
    "paper_verdict",
    "percent_change",
    "published_refuted",
    "quadrant_verdicts",
    "reached",
    "seeds_needed",
    "similarity_points",
    "smto_cases",
    "smto_points",
    "spans_decades",
    "table_cases",
    "table_row",
    "table_verdicts",
    "transfer",
    "transfer_table",
    "weights_agree",
]
