"""What the page Evidence shows, as it stands in a URL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mtl_core.analysis import Finding
from mtl_core.views import codec
from mtl_core.views.codec import Entries, Field
from mtl_core.views.evidence.base import OUTCOMES, PAPERS, Paper, Row

__all__ = ["EvidenceView"]


@dataclass(frozen=True)
class EvidenceView:
    """Which rows are shown.

    Args:
        paper: whose claims; None for both papers'.
        outcome: what the runs say of them; None for anything.
    """

    paper: Paper | None = None
    outcome: Finding | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[EvidenceView, list[str]]":
        """What a URL asks for, and what in it was not understood."""
        reading = codec.read(query, _FIELDS)
        return cls(**reading.values), reading.told

    def to_query(self) -> dict[str, str]:
        return codec.write(self, _FIELDS)

    def shown(self, rows: Iterable[Row]) -> list[Row]:
        """Those of the rows that are asked for."""
        return [
            row
            for row in rows
            if self.paper in (None, row.claim.paper) and self.outcome in (None, row.found.outcome)
        ]


_FIELDS: Entries = (
    Field("paper", codec.or_all(codec.one_of("paper", PAPERS)), default=None),
    Field("outcome", codec.or_all(codec.one_of("outcome", OUTCOMES)), default=None),
)
