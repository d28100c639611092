"""Access: who may do what, on one's own machine and on one that is shared.

On one's own machine everything is allowed. Shared (``MTL_SHARED=1``, which ``make serve`` sets),
the app is open to strangers: what they can start is bounded, and what they can end is what they
started. ``docs/security.md`` says what is promised.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mtl_core.data import sources
from mtl_core.places import shipped
from mtl_core.runs.budget import Budget
from mtl_core.runs.queue.file import default_path

__all__ = ["Access"]

_PATH = re.compile(r"(?<![\w/:.])/(?:[^\s/'\"?=&]+/)+")
"""The folders of a file that a message names; no address of the web."""
_TRUE = ("1", "true", "yes", "on")
_STRANGERS = Budget(stored=256 * 2**20, memory=2 * 2**30, seconds=2 * 3600.0)


@dataclass(frozen=True)
class Access:
    """The rules of this server.

    Args:
        shared: whether it is open to strangers.
        password: what a visitor has to say first; empty for nothing.
        uploads: whether visitors may bring files, and take in runs of other machines.
        most_runs: that a visitor may have in the queue, where it is shared.
        most_waiting: that all visitors may have there together.
    """

    shared: bool = False
    password: str = ""
    uploads: bool = True
    most_runs: int = 200
    most_waiting: int = 1_000

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """``MTL_SHARED``, ``MTL_PASSWORD`` and ``MTL_UPLOADS``."""
        shared = _said(environment, "MTL_SHARED", default=False)
        return cls(
            shared=shared,
            password=environment.get("MTL_PASSWORD", "") if shared else "",
            uploads=_said(environment, "MTL_UPLOADS", default=not shared),
        )

    def bounded(self, budget: Budget) -> Budget:
        """What a visitor may ask for at once, where the operator allows so much."""
        if not self.shared:
            return budget
        return Budget(
            min(budget.stored, _STRANGERS.stored),
            min(budget.memory, _STRANGERS.memory),
            min(budget.seconds, _STRANGERS.seconds),
        )

    def told(self, line: str) -> str:
        """A message as a visitor may see it: strangers are told no folder of this machine."""
        if not self.shared:
            return line
        here = [default_path().parent, sources.data_dir(), shipped("cache").parent, Path.home()]
        # The longest first, since one may lie in another; their names may have blanks.
        for folder in sorted({str(one) for one in here} - {os.sep}, key=len, reverse=True):
            line = line.replace(f"{folder}{os.sep}", "").replace(folder, "a folder of this server")
        return _PATH.sub("", line)

    def may_end(self, starter: str, visitor: str) -> bool:
        """Whether a visitor may stop or delete what somebody started.

        Args:
            starter: who did; empty for the command line, or a time before there were visitors.
        """
        return not self.shared or (starter == visitor != "")


def _said(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    return text in _TRUE if text else default
