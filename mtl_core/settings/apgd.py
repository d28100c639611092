"""What fewer steps of APGD than the paper's 20 lose of sharpness, on the networks of settings."""

from collections.abc import Mapping

__all__ = ["LENET", "RESNET18", "SMALL_CNN", "Lost"]

Lost = Mapping[int, float]
"""Steps of APGD to the most that they were seen to lose along runs, in per cent of sharpness.

Measured by ``python benchmarks/apgd.py`` at ρ = 1e-3, which prints the table; rounded up.
"""

SMALL_CNN: Lost = {3: 0.05}
LENET: Lost = {3: 0.05}
RESNET18: Lost = {3: 7, 17: 0.5}
"""Most of it before the first tenth of a run; 3 steps lose about 1 % at the end of one."""
