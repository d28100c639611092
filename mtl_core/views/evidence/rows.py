"""Every claim of both papers, in their order, and the rows that the runs make of them."""

from mtl_core.runs.library.answers import Answers
from mtl_core.views.evidence import conflicts, fronts, gaps, optimizers, trade_offs
from mtl_core.views.evidence.base import Claim, Row
from mtl_core.views.evidence.known import Known

__all__ = ["CLAIMS", "evidence"]

CLAIMS: tuple[Claim, ...] = (
    *gaps.CLAIMS,
    *trade_offs.CLAIMS,
    *optimizers.CLAIMS,
    *conflicts.CLAIMS,
    *fronts.CLAIMS,
)


def evidence(answers: Answers) -> tuple[Row, ...]:
    """What the runs that ship say of every claim, setting by setting.

    Args:
        answers: whose artifacts count; its store and what was imported do not, so that the same
            artifacts make the same table everywhere.
    """
    known = Known(Answers(None, answers.shipped))
    return tuple(row for claim in CLAIMS for row in claim.rows(claim, known))
