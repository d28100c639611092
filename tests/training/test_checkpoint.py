"""States: split and stacked without loss."""

import numpy as np

from mtl_core.training.checkpoint import split, stack


def test_split_and_stack_are_inverse() -> None:
    state = {
        "step": np.array(7),
        "seconds": np.array(0.5),
        "parameter/a": np.arange(24.0).reshape(3, 2, 4),
        "exp_avg/a": np.arange(3.0),
    }
    singles = split(state, 3)
    assert [single["parameter/a"].shape for single in singles] == [(1, 2, 4)] * 3
    assert singles[1]["exp_avg/a"].tolist() == [1.0]
    assert [int(single["step"]) for single in singles] == [7, 7, 7]
    for name, value in stack(singles).items():
        np.testing.assert_array_equal(value, state[name])
        assert value.dtype == np.asarray(state[name]).dtype
    reordered = stack([singles[2], singles[0]])
    np.testing.assert_array_equal(reordered["parameter/a"], state["parameter/a"][[2, 0]])
