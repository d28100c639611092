"""The optimizers that there are, and what a wrong request costs."""

import pytest

from mtl_core import InputError, optimizers


def test_names_start_with_the_papers_baseline() -> None:
    assert optimizers.names()[0] == "umtg"
    assert len(set(optimizers.names())) == len(optimizers.names())
    for name in optimizers.names():
        assert isinstance(optimizers.create(name, num_tasks=3).needs_gramian, bool)


@pytest.mark.parametrize("name", ["pcgard", "", None, 4, [], {"a": 1}])
def test_unknown_optimizer(name: object) -> None:
    with pytest.raises(InputError) as caught:
        optimizers.create(name, num_tasks=2)  # type: ignore[arg-type]
    known = ", ".join(optimizers.names())
    assert str(caught.value) == f"unknown optimizer {name!r}; one of: {known}"


@pytest.mark.parametrize("option", ["c", "name", "self"])
@pytest.mark.parametrize("name", ["umtg", "mean"])
def test_unknown_option(name: str, option: str) -> None:
    with pytest.raises(InputError) as caught:
        optimizers.create(name, num_tasks=2, **{option: 1})
    message = str(caught.value)
    assert message == f"optimizer {name!r} does not take the options {option}; leave them out"
