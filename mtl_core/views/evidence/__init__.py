"""The evidence on every claim of both papers: what the runs that ship say, on what, how surely."""

from mtl_core.views.evidence.base import OUTCOMES, PAPERS, Claim, Judgement, Paper, Row
from mtl_core.views.evidence.rows import CLAIMS, evidence
from mtl_core.views.evidence.table import RULES, by_claim, frame, markdown, summary, text
from mtl_core.views.evidence.view import EvidenceView

__all__ = [
    "CLAIMS",
    "OUTCOMES",
    "PAPERS",
    "RULES",
    "Claim",
    "EvidenceView",
    "Judgement",
    "Paper",
    "Row",
    "by_claim",
    "evidence",
    "frame",
    "markdown",
    "summary",
    "text",
]
