"""Figures: trajectories in, ``altair`` chart out.

A chart's specification depends on which curves and columns it shows and never on their rows, so a
page can redraw it while a run is alive and the reader keeps zoom, hover and legend choice.
"""

from mtl_core.charts.correlation import correlation_alt, correlation_chart
from mtl_core.charts.cosines import cosine_alt, cosine_heatmap
from mtl_core.charts.frame import Frame
from mtl_core.charts.fronts import (
    FRAME_EVENT,
    front_alt,
    front_chart,
    hypervolume_alt,
    hypervolume_chart,
)
from mtl_core.charts.gap_strip import gap_strip, gap_strip_alt, gap_strip_drawing
from mtl_core.charts.generalization import (
    generalization_alt,
    generalization_chart,
    generalization_drawing,
)
from mtl_core.charts.guesses import answers_alt, answers_chart, guesses_alt, guesses_chart
from mtl_core.charts.larger import larger
from mtl_core.charts.layers import CROWD
from mtl_core.charts.leaderboard import PICKED, leaderboard_alt, leaderboard_chart
from mtl_core.charts.matrix import CELL, matrix_alt, matrix_chart
from mtl_core.charts.over_epochs import over_epochs_alt, over_epochs_chart
from mtl_core.charts.over_loss import (
    SHORT_X_TITLE,
    Bracket,
    over_loss_alt,
    over_loss_chart,
    over_loss_drawing,
)
from mtl_core.charts.palette import Curve, CurveKey, Kind, style_curves
from mtl_core.charts.quadrants import (
    quadrant_alt,
    quadrant_chart,
    quadrant_legend,
    quadrant_legend_alt,
    style_optimizers,
)
from mtl_core.charts.ready import Drawing, Ready, Template, ready, template
from mtl_core.charts.transfers import kept_alt, kept_heatmap, transfer_alt, transfer_heatmap

__all__ = [
    "CELL",
    "CROWD",
    "FRAME_EVENT",
    "PICKED",
    "SHORT_X_TITLE",
    "Bracket",
    "Curve",
    "CurveKey",
    "Drawing",
    "Frame",
    "Kind",
    "Ready",
    "Template",
    "answers_alt",
    "answers_chart",
    "correlation_alt",
    "correlation_chart",
    "cosine_alt",
    "cosine_heatmap",
    "front_alt",
    "front_chart",
    "gap_strip",
    "gap_strip_alt",
    "gap_strip_drawing",
    "generalization_alt",
    "generalization_chart",
    "generalization_drawing",
    "guesses_alt",
    "guesses_chart",
    "hypervolume_alt",
    "hypervolume_chart",
    "kept_alt",
    "kept_heatmap",
    "larger",
    "leaderboard_alt",
    "leaderboard_chart",
    "matrix_alt",
    "matrix_chart",
    "over_epochs_alt",
    "over_epochs_chart",
    "over_loss_alt",
    "over_loss_chart",
    "over_loss_drawing",
    "quadrant_alt",
    "quadrant_chart",
    "quadrant_legend",
    "quadrant_legend_alt",
    "ready",
    "style_curves",
    "style_optimizers",
    "template",
    "transfer_alt",
    "transfer_heatmap",
]
