"""Which way a factor is better, by the paper."""

from collections.abc import Mapping

__all__ = ["FACTOR_HIGHER_IS_BETTER"]

FACTOR_HIGHER_IS_BETTER: Mapping[str, bool] = {
    "sharpness": False,
    "fisher_trace": False,
    "gradient_covariance": False,
    "gradient_similarity": True,
}
"""M24 §4.1 calls a decrease of the three an improvement; less conflict is a higher similarity."""
