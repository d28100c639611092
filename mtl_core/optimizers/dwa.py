"""DWA: dynamic weight average."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, State, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """K softmax(r / T), where r_k is the mean loss of the last epoch over that of the one before.

    Ones in the first two epochs. Where the older mean is 0, r_k is 1.
    """
    state, losses = step.state, step.losses
    if "sum" not in state:
        for name in ("sum", "last", "before"):
            state[name] = losses.new_zeros(losses.shape)
        for name in ("steps", "epochs"):
            state[name] = losses.new_zeros(len(losses), 1)
    state["sum"] = state["sum"] + losses
    state["steps"] = state["steps"] + 1
    ratio = state["last"] / state["before"]
    ratio = ratio.where(ratio.isfinite(), 1.0)
    found: Tensor = losses.shape[1] * (ratio / step.options["temperature"]).softmax(dim=1)
    return found.where(state["epochs"] >= 2, 1.0)


def end_epoch(state: State) -> None:
    """The running epoch becomes the last one, unless it had no step."""
    if "sum" not in state:
        return
    ran = state["steps"] > 0
    mean = state["sum"] / state["steps"]
    state["before"] = state["last"].where(ran, state["before"])
    state["last"] = mean.where(ran, state["last"])
    state["epochs"] = state["epochs"] + ran
    state["sum"] = state["sum"].new_zeros(state["sum"].shape)
    state["steps"] = state["steps"].new_zeros(state["steps"].shape)


RULE = Rule(
    title="DWA",
    about="Tasks count more whose loss fell less from one epoch to the next.",
    source="Liu, Johns & Davison 2019, End-to-End Multi-Task Learning with Attention, Eq. 7",
    weights=weights,
    options=(
        Option(
            "temperature",
            2.0,
            "How even the weights are: the larger, the more so.",
            least=0.01,
            most=1e6,
        ),
    ),
    end_epoch=end_epoch,
    same_as_sum="DWA is the sum in the first two epochs.",
)
