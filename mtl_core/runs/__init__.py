"""Runs: which exist, who carries them out, where their results are."""

from mtl_core.runs.artifacts import Artifact
from mtl_core.runs.store import RunRecord, Store, default_path

__all__ = ["Artifact", "RunRecord", "Store", "default_path"]
