"""Runs: which exist, who carries them out, where their results are."""

from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.queue.store import RunRecord, Store, default_path

__all__ = ["Artifact", "RunRecord", "Store", "default_path"]
