"""Whether a race could have been foretold, on the runs of synthetic that ship."""

import pytest

from mtl_core.runs.race import Contest, reached, standing
from mtl_core.views.foretelling import guesses

SHIPPED = ("cos100", "cos75", "cos50", "cos25", "cos0", "cosm50", "cosm100")


def test_the_true_cosine_foretells_what_helps(shipped_answers) -> None:
    found = standing(Contest("synthetic", "target", "quick", SHIPPED), shipped_answers)
    told = {one.title: one.found for one in guesses(found, shipped_answers)}
    assert [*told] == [
        "Gradient similarity, early",
        "Gradient similarity, mean",
        "True cosine, its size",
    ]
    cosine = told["True cosine, its size"]
    assert cosine.n == len(SHIPPED)
    assert cosine.rho > 0.9
    assert cosine.picked in ("cos100", "cosm100")
    alone, best = (reached(found.answers[name], shipped_answers) for name in ("stl", cosine.best))
    assert sum(best) / 10 - sum(alone) / 10 == pytest.approx(0.0678, abs=0.001)


def test_few_candidates_foretell_nothing(shipped_answers) -> None:
    found = standing(Contest("digits", "digits1", "quick", ("digits2",)), shipped_answers)
    assert guesses(found, shipped_answers) == []
