"""Label entropy against closed forms and scipy's."""

import math

import numpy as np
import pytest
from scipy import stats

from mtl_core import InputError
from mtl_core.analysis.label_entropy import label_entropy


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_uniform_labels_have_ln_k(classes: int) -> None:
    assert label_entropy(np.tile(np.arange(classes), 7)) == pytest.approx(math.log(classes))


def test_a_constant_label_has_none() -> None:
    assert label_entropy(np.full(5, 3)) == 0


def test_two_classes_have_the_binary_entropy() -> None:
    expected = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert label_entropy(np.array([1, 0, 0, 0])) == pytest.approx(expected)


def test_it_is_scipys_of_the_counts_and_labels_below_0_are_none() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(6, size=(30, 4, 5), p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04])
    expected = stats.entropy(np.bincount(labels.flatten()))
    assert label_entropy(labels) == pytest.approx(expected)
    blank = np.concatenate([labels.flatten(), np.full(99, -1)])
    assert label_entropy(random.permutation(blank)) == pytest.approx(expected)


def test_numbers_and_nothing_have_none() -> None:
    with pytest.raises(InputError, match="labels of float32 are no classes"):
        label_entropy(np.zeros(3, np.float32))
    with pytest.raises(InputError, match="there are no labels"):
        label_entropy(np.array([-1, -1]))
