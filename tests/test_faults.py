"""Faults of many kinds, some of each: nothing is lost, wrong, silent or stuck."""

from pathlib import Path

import pytest

from mtl_core.watch import SEES
from tests.faults import KINDS, SHORT, campaign, table


@pytest.mark.skipif(not SEES, reason="needs /proc")
def test_no_fault_loses_anything_or_goes_unsaid(tmp_path: Path) -> None:
    """The long campaign is ``python tests/faults.py --n 1000``."""
    counts = campaign(len(SHORT), 0, SHORT, tmp_path)
    print(table(counts))
    assert [line for one in counts.values() for line in one.examples] == []
    assert {one.injected for one in counts.values()} == {1}


def test_every_kind_of_the_short_campaign_is_one_of_all() -> None:
    assert set(SHORT) <= set(KINDS)
