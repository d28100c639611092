"""Runs: which exist, what carries them out, and where their results are."""

from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.queue.records import Key, Record
from mtl_core.runs.queue.store import Store, default_path

__all__ = ["Answers", "Artifact", "Key", "Record", "Store", "default_path"]
