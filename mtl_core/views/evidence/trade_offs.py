"""§4.1 of Mueller et al.: whether a factor of the trajectory explains transfer."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from mtl_core import analysis
from mtl_core.analysis import DEEP, FEWEST_SEEDS, TABLE_FACTORS, Comparison, Finding, TableRow
from mtl_core.views import explaining
from mtl_core.views.comparisons import Pool
from mtl_core.views.evidence.base import OURS, Claim, Judgement, Row
from mtl_core.views.evidence.gaps import judged_rows
from mtl_core.views.evidence.known import Known
from mtl_core.views.evidence.numbers import percent, power_of, snapped
from mtl_core.views.measures import measure
from mtl_core.views.phrases import capitalised, family, listed, title

__all__ = ["CLAIMS", "factor_power", "outcomes"]

Judge = Callable[[Known, Pool], Judgement]


def outcomes(verdicts: Sequence[analysis.FactorVerdict]) -> str:
    """What is said of each factor, those of one outcome together."""
    by: dict[str, list[str]] = {}
    for found in verdicts:
        by.setdefault(found.outcome, []).append(title(found.factor))
    return "; ".join(f"{listed(names)}: {outcome}" for outcome, names in by.items())


def factor_power(found: Sequence[Comparison]) -> str:
    """How much a factor would have to change to be found, in percent of the baseline's."""
    missed = [one for one in found if not one.significant and one.baseline_mean > 0]
    sizes = [analysis.detectable(one) / one.baseline_mean for one in missed]
    known = sorted(size for size in sizes if math.isfinite(size))
    if not known:
        return ""
    return f"80 % power for a factor's change by {percent(median(known))} in the median"


def _explains(known: Known, pool: Pool) -> Judgement:
    table = known.table(pool)
    moved = [row.deltas["transfer"] for row in table.rows]
    significant = [one for one in moved if one is not None and one.significant]
    gains = sum(one.verdict == "better" for one in significant)
    number = (
        f"{gains} gain and {len(significant) - gains} lose of {len(moved)}; "
        f"{outcomes(table.verdicts)}"
    )
    return Judgement(
        analysis.factor_support(table.verdicts),
        number,
        explaining.reason(moved, table.verdicts),
        _what_it_takes(table.rows, table.verdicts, pool),
    )


def _what_it_takes(
    rows: Sequence[TableRow], verdicts: Sequence[analysis.FactorVerdict], pool: Pool
) -> str:
    """The smallest transfers, or changes of factors, that would have been found."""
    if missing := explaining.shared(verdicts):
        pairs = [
            (moved, measure(pool.setting.name, row.task))
            for row in rows
            if (moved := row.deltas["transfer"]) is not None
        ]
        if len({shown.share for _, shown in pairs}) > 1:
            pairs = [(one, shown) for one, shown in pairs if shown.share]
        said = power_of(pairs)
        lacking = said and any("transfer" in each for each in missing)
        power = [f"{said} of transfer"] if lacking else []
        return "; ".join([*power, *(each for each in missing if "loss" in each)] or missing)
    return factor_power([one for row in rows if row.significant for one in _changes(row)])


def _changes(row: TableRow) -> list[Comparison]:
    found = (row.deltas[name] for name in TABLE_FACTORS)
    return [one for one in found if one is not None]


def _together(rows: Sequence[TableRow], names: Sequence[str]) -> list[Comparison | None]:
    """The changes of these factors in all rows, judged as one family."""
    return analysis.judged([_telling(row, name) for row in rows for name in names])


def _telling(row: TableRow, factor: str) -> Comparison | None:
    """A change of a factor, where the row can tell: as an outcome on factors takes it to."""
    change = row.deltas[factor]
    if change is None or min(change.seeds, change.baseline_seeds) < FEWEST_SEEDS:
        return None
    return change if row.lowest < DEEP else None


def _better(known: Known, pool: Pool) -> Judgement:
    """Fig. 3: every factor is better together, whether a task gains or loses."""
    rows = known.table(pool).rows
    return _counted(rows, _together(rows, TABLE_FACTORS), analysis.all_of, "better")


def _sharper(known: Known, pool: Pool) -> Judgement:
    """Sharpness gets worse for all tasks; the rows are judged as on the page, as one column."""
    rows = known.table(pool).rows
    changes = [_telling(row, "sharpness") for row in rows]
    return _counted(rows, changes, analysis.all_of, "worse")


def _worse(known: Known, pool: Pool) -> Judgement:
    """Factors tend to be worse together."""
    rows = known.table(pool).rows
    return _counted(rows, _together(rows, TABLE_FACTORS), analysis.most_of, "worse")


def _counted(
    rows: Sequence[TableRow],
    changes: Sequence[Comparison | None],
    rule: Callable[[Sequence[Comparison | None], analysis.Verdict], Finding],
    expected: analysis.Verdict,
) -> Judgement:
    known = [one for one in changes if one is not None]
    if not known:
        lowest = min((snapped(row.lowest) for row in rows), default=math.nan)
        return Judgement(
            "cannot tell",
            f"lowest loss of both {lowest:.2g}",
            f"In no comparison both runs come down to L = {DEEP:g} and have {FEWEST_SEEDS} seeds.",
            f"takes losses below {DEEP:g} in both runs, on {FEWEST_SEEDS} seeds",
        )
    better = sum(one.verdict == "better" for one in known)
    worse = sum(one.verdict == "worse" for one in known)
    judged = family(max((one.family for one in known), default=0))
    number = f"{worse} worse and {better} better of {len(changes)}"
    ratios = [one.mean / one.baseline_mean for one in known if one.baseline_mean > 0]
    if ratios:
        number += f", median ×{snapped(median(ratios)):.2g}"
    unmeasured = len(changes) - len(known)
    why = (
        f"{capitalised(_some(worse))} of {len(changes)} changes is significantly worse and "
        f"{_some(better)} significantly better{judged}"
        if max(worse, better) <= 1
        else f"{worse} of {len(changes)} changes are significantly worse and {better} "
        f"significantly better{judged}"
    )
    if unmeasured:
        why += f"; {unmeasured} could not be read, or not below L = {DEEP:g}"
    return Judgement(rule(changes, expected), number, f"{why}.", factor_power(known))


def _some(count: int) -> str:
    return "one" if count else "none"


def _of_settings(names: Sequence[str], judge: Judge) -> Callable[[Claim, Known], list[Row]]:
    return lambda claim, known: judged_rows(claim, known, names, known.measured, judge)


_PAGE = (
    "Factors are read at comparable loss (App. C.4). Positive transfer must come with a decrease "
    "of a factor, negative transfer with an increase"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "no_factor",
        "M24",
        "§4.1, Fig. 3, Table 1",
        "No factor (sharpness, early Fisher information, gradient coherence) is capable of "
        "explaining negative and positive transfer in any multi-task setting.",
        f"{_PAGE}. Agree where every factor certainly moves the other way somewhere, disagree "
        "where one explains every transfer. It takes significant transfers of both signs.",
        "factors",
        _of_settings(
            ("fashion", "mnists", "cifar100", "celeba", "cityscapes", "glue", *OURS), _explains
        ),
    ),
    Claim(
        "better_factors",
        "M24",
        "§4.1, Fig. 3",
        "On FashionMTL, multi-task trajectories have better factors than the single-task one, "
        "whether the task gains or loses.",
        "Changes of all factors in all comparisons that come down to L = 0.01. Agree where all are "
        "better, disagree where one is worse.",
        "factors",
        _of_settings(("fashion",), _better),
    ),
    Claim(
        "sharper",
        "M24",
        "§4.1, Table 1",
        "On CIFAR-100, multi-task training leads to sharper solutions for all tasks, also for "
        "those that gain.",
        "Changes of sharpness in all comparisons, which must come down to L = 0.01. Agree where "
        "all are worse, disagree where one is better.",
        "factors",
        _of_settings(("cifar100",), _sharper),
    ),
    Claim(
        "worse_factors",
        "M24",
        "§4.1, Table 1",
        "Multi-task training tends to worsen the factors, whether a task gains or loses; "
        "FashionMTL is the exception.",
        "Changes of all factors in all comparisons that come down to L = 0.01. Agree where more "
        "than half are worse, disagree where more than half are better.",
        "factors",
        _of_settings(("mnists", "cifar100", "celeba", "cityscapes", "glue", *OURS), _worse),
    ),
)
