"""Which auxiliary: a race's leaderboards, or the matrix of all pairs."""

from collections.abc import Mapping, Sequence
from functools import partial

from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.race import Standing, contests, table
from mtl_core.views import measures, transfer_matrix, which_auxiliary
from mtl_core.views.citations import FORETELLING
from mtl_core.views.figures.base import Figure, Panel
from mtl_core.views.transfer_matrix import Matrix
from mtl_core.views.which_auxiliary import RaceView

__all__ = ["figure", "leaderboard", "matrix"]


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """A race as far as it is known, or the cells that are known of a matrix."""
    view, told = RaceView.from_query(query)
    if told:
        raise InputError(told[0])
    if view.look == "pairs":
        found = transfer_matrix.matrix(view.setting, view.preset, answers)
        panel = matrix(view, found)
        return Figure("transfer_matrix", view.title, ((panel,),), found.table)
    races = contests(view.contest, answers, grow=view.grow)
    rows = tuple((leaderboard(view, races, place),) for place in reversed(range(len(races))))
    return Figure("race", view.title, rows, partial(table, races), FORETELLING)


def leaderboard(view: RaceView, races: Sequence[Standing], place: int) -> Panel:
    """One of the races for one more auxiliary."""
    from mtl_core.charts import leaderboard_alt, leaderboard_chart

    standing = races[place]
    share = measures.measure(view.setting, view.target).share
    rows = which_auxiliary.leaderboard(standing)
    reference = which_auxiliary.called(standing, standing.contest.reference)
    return Panel(
        which_auxiliary.race_title(standing, place + 1) if len(races) > 1 else "",
        partial(
            leaderboard_chart,
            rows,
            title=f"ΔE over training {reference}{', points' if share else ''}",
            share=share,
            name=f"wa_race_{place + 1}",
        ),
        partial(leaderboard_alt, rows, reference, share=share),
    )


def matrix(view: RaceView, found: Matrix, *, going: bool = False) -> Panel:
    """The cells that are known.

    Args:
        going: whether more are coming, so that nothing is said of them yet.
    """
    from mtl_core.charts import matrix_alt, matrix_chart

    rows, columns = found.ordered(by_likeness=view.clustered)
    share = measures.measure(view.setting, view.target).share
    cells = found.table()
    return Panel(
        "",
        partial(matrix_chart, cells, rows, columns, share=share, name="wa_matrix"),
        partial(matrix_alt, rows, None if going else cells, share=share),
    )
