"""Training: how a run is carried out, free of files, servers and Streamlit."""

from mtl_core.training.checkpoint import Checkpoint, State
from mtl_core.training.schedule import checkpoint_steps
from mtl_core.training.train import train

__all__ = ["Checkpoint", "State", "checkpoint_steps", "train"]
