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
from mtl_core.analysis.claims import all_of, most_of, mostly_small
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
    far_verdict,
    gap_case,
    judged_cases,
)
from mtl_core.analysis.gap_over_loss import gap_over_loss
from mtl_core.analysis.intervals import LEVEL, MOST_NEEDED, Interval, holm, seeds_needed
from mtl_core.analysis.loss_bins import PHASES, BinnedComparison, Phase, comparable, loss_bins
from mtl_core.analysis.loss_matching import (
    LOSS_FLOOR,
    LossMatchedGap,
    gap,
    loss_matched,
    metric_at_loss,
)
from mtl_core.analysis.onset import Onset, beginning, onset
from mtl_core.analysis.power import detectable, detectable_r, power, sets_for_little, smallest
from mtl_core.analysis.race import LOOKS as RACE_LOOKS
from mtl_core.analysis.race import Race, RaceOutcome, Runner, RunnerState, race
from mtl_core.analysis.race import looks as race_looks
from mtl_core.analysis.sets import SetsCorrelation, correlate_sets, spans_decades
from mtl_core.analysis.significance import Comparison, Verdict, compare, judged
from mtl_core.analysis.smto import (
    SMTO_FACTORS,
    OptimizerVerdict,
    QuadrantOutcome,
    QuadrantVerdict,
    SmtoCase,
    judged_smtos,
    minimum_loss,
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
    "RACE_LOOKS",
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
    "Race",
    "RaceOutcome",
    "Reading",
    "Runner",
    "RunnerState",
    "SetsCorrelation",
    "SmtoCase",
    "TableRow",
    "Verdict",
    "Versus",
    "aggregate",
    "aggregate_checkpoints",
    "aggregate_comparison",
    "agreement",
    "all_of",
    "beginning",
    "comparable",
    "compare",
    "conflict_verdict",
    "correlate",
    "correlate_sets",
    "cosine_matrix",
    "cosine_steps",
    "detectable",
    "detectable_r",
    "early_verdict",
    "factor_support",
    "factor_verdicts",
    "far_verdict",
    "footnote_applies",
    "gap",
    "gap_case",
    "gap_over_loss",
    "holm",
    "judged",
    "judged_cases",
    "judged_rows",
    "judged_smtos",
    "loss_bins",
    "loss_matched",
    "mean_band",
    "metric_at_loss",
    "minimum_loss",
    "most_of",
    "mostly_small",
    "onset",
    "optimizer_verdicts",
    "panel_verdicts",
    "paper_verdict",
    "percent_change",
    "power",
    "published_refuted",
    "quadrant_verdicts",
    "race",
    "race_looks",
    "reached",
    "seeds_needed",
    "sets_for_little",
    "similarity_points",
    "smallest",
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
