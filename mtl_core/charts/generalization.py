"""The hero figure: test metric against training loss (M24 §2, Fig. 1).

At one place on the x axis all networks fit their training data equally well, so a difference on the
y axis is one in generalization.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mtl_core.charts.frame import Frame
from mtl_core.charts.layers import Figure
from mtl_core.charts.over_loss import X_TITLE, Bracket, over_loss_alt, over_loss_drawing
from mtl_core.charts.palette import Curve
from mtl_core.charts.ready import Drawing

__all__ = ["generalization_alt", "generalization_chart", "generalization_drawing"]


def generalization_chart(
    trajectories: pd.DataFrame, curves: Sequence[Curve], **options: Any
) -> Figure:
    """Test metric E over full training loss L: ``generalization_drawing`` as one chart."""
    drawn = generalization_drawing(trajectories, curves, **options)
    return drawn.chart()  # type: ignore[return-value]


def generalization_drawing(
    trajectories: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    task: str,
    metric_title: str,
    metric_format: str = "%",
    per_seed: bool = False,
    height: int = 420,
    name: str = "generalization",
    x_title: str = X_TITLE,
    brackets: Sequence[Bracket] = (),
    domain_x: tuple[float, float] | None = None,
    domain_y: tuple[float, float] | None = None,
    frame: Frame | None = None,
    live: bool = False,
) -> Drawing:
    """Test metric E over full training loss L: mean lines, ±2 SD bands, a point per checkpoint.

    Lines and bands are read at equal loss; a point is the mean loss and metric of its checkpoint.

    Args:
        trajectories: tidy rows with a ``curve`` column; may be empty.
        curves: which curves are drawn and how, also those without rows yet.
        task: whose loss and metric are shown.
        metric_title: of the y axis.
        metric_format: ``%`` for a share such as accuracy, whose error then lies on a logarithmic
            scale; else a d3 format for hovering.
        per_seed: whether each seed gets a faint line of its own.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
        x_title: of the x axis; a narrow chart has room for a short one.
        brackets: gaps that are marked.
        domain_x: the least and the largest loss that are drawn; default all.
        domain_y: the least and the largest value of the metric.
        frame: what the axes show at least.
        live: whether rows are added every second: see ``over_loss_drawing``.
    """
    return over_loss_drawing(
        trajectories,
        curves,
        column="test_metric",
        task=task,
        title=metric_title,
        value_format=metric_format,
        per_seed=per_seed,
        height=height,
        name=name,
        x_title=x_title,
        brackets=brackets,
        domain_x=domain_x,
        domain_y=domain_y,
        frame=frame,
        live=live,
    )


def generalization_alt(
    curves: Sequence[Curve],
    *,
    task: str,
    metric_title: str,
    metric_format: str = "%",
    trajectories: pd.DataFrame | None = None,
) -> str:
    """What the chart says, for those who do not see it: see ``over_loss_alt``."""
    return over_loss_alt(
        curves,
        task=task,
        title=metric_title,
        trajectories=trajectories,
        value_format=metric_format,
    )
