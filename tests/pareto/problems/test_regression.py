"""linnerud and csv: tables, losses in closed form, and what options are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mtl_core import InputError
from mtl_core.pareto import problems
from mtl_core.pareto.problems import regression
from tests.pareto.problems.networks import (
    CPU,
    assert_vmap_is_each,
    descended,
    doubled,
    generator,
)

LINNERUD = problems.get("linnerud")
CSV = problems.get("csv")


def standardised(values: Any) -> Any:
    values = np.asarray(values, dtype=np.float64)
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_linnerud_is_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    original = datasets.load_linnerud()
    instance = LINNERUD.load(CPU, None, None, {})
    inputs, targets = instance.train
    np.testing.assert_allclose(inputs, standardised(original.data), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(targets, standardised(original.target), rtol=1e-6, atol=1e-7)
    assert [objective.title for objective in LINNERUD.objectives] == original.target_names
    assert inputs.shape == targets.shape == (20, 3)
    header = regression._LINNERUD.read_text().splitlines()[0].split(",")
    assert header == [*original.feature_names, *original.target_names]


def test_linnerud_is_measured_on_what_it_is_fitted_to() -> None:
    instance = LINNERUD.load(CPU, None, None, {})
    for one, other in zip(instance.train, instance.test, strict=True):
        assert torch.equal(one, other)
    assert LINNERUD.data_state().state == "found"
    assert LINNERUD.fingerprint({}) == "e128892e5ac41737"


def test_linnerud_losses_of_known_parameters() -> None:
    """All zeros predicts every mean, which costs the variance, 1; a slope, by hand."""
    instance = LINNERUD.load(CPU, None, None, {})
    nothing = {"weight": torch.zeros(1, 3), "bias": torch.zeros(1)}
    assert set(instance.start(generator())) == set(nothing)
    assert instance.losses(nothing, instance.train).tolist() == pytest.approx([1, 1, 1], rel=1e-6)
    some = {"weight": torch.tensor([[0.5, -1.0, 0.25]]), "bias": torch.tensor([0.1])}
    inputs, targets = (part.double().numpy() for part in instance.train)
    predicted = inputs @ [0.5, -1.0, 0.25] + 0.1
    expected = [((predicted - targets[:, k]) ** 2).mean() for k in range(3)]
    assert instance.losses(some, instance.train).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 0, 1), (0.2, 0.1, 0.7), (1 / 3, 1 / 3, 1 / 3)])
def test_linnerud_descends_to_the_regression_on_the_weighted_targets(
    weights: tuple[float, ...],
) -> None:
    instance = LINNERUD.load(CPU, None, None, {})
    found = descended(instance, torch.tensor(weights, dtype=torch.float32), steps=500, lr=0.2)
    inputs, targets = (part.double().numpy() for part in instance.train)
    normal = np.linalg.solve(inputs.T @ inputs, inputs.T @ (targets @ weights))
    np.testing.assert_allclose(found["weight"][0], normal, atol=2e-5)
    assert abs(float(found["bias"])) < 1e-5


def test_linnerud_front_is_what_nothing_beats() -> None:
    front = LINNERUD.front(400)
    assert front.shape == (400, 3)
    assert (front < LINNERUD.reference).all()
    for one in front:
        assert not ((front <= one - 1e-12).all(axis=1)).any()
    # The first three are best for one target each: ordinary least squares.
    instance = LINNERUD.load(CPU, None, None, {})
    inputs, targets = (part.double().numpy() for part in instance.train)
    for k in range(3):
        residual = np.linalg.lstsq(inputs, targets[:, k])[1][0] / 20
        assert front[k, k] == pytest.approx(residual, rel=1e-5)
        assert front[k, k] == pytest.approx(front[:, k].min(), rel=1e-9)
    # No random model of any size lies below the front's supporting planes.
    random = np.random.default_rng(0)
    models = random.normal(size=(2_000, 3)) * random.uniform(0, 1, (2_000, 1))
    losses = ((inputs @ models.T)[:, :, None] - targets[:, None]) ** 2
    weights = random.dirichlet([1, 1, 1], 50)
    least = (LINNERUD.front(4_000) @ weights.T).min(axis=0)
    assert ((losses.mean(axis=0) @ weights.T).min(axis=0) > least - 1e-3).all()
    assert [len(LINNERUD.front(n)) for n in (1, 2, 3, 7)] == [1, 2, 3, 7]


def test_linnerud_stacked_solutions_are_each_on_its_own() -> None:
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    instance = LINNERUD.load(CPU, None, None, {})
    assert_vmap_is_each(instance, instance.train, weights)


def test_linnerud_has_no_options() -> None:
    with pytest.raises(InputError, match=r"^linnerud has no options; leave 'file' out$"):
        LINNERUD.load(CPU, None, None, {"file": "x.csv"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """200 rows: a sine, a product and a category's own number, of two inputs and three colours."""
    random = np.random.default_rng(0)
    path = tmp_path / "table.csv"
    lines = ["a,b,colour,sine,product,own"]
    for _ in range(200):
        a, b = random.uniform(-2, 2, 2).round(3)
        colour = random.integers(3)
        own = (5.0, -1.0, 2.0)[colour]
        lines.append(f"{a},{b},{'rgb'[colour]},{np.sin(a):.4f},{100 * a * b:.4f},{own}")
    path.write_text("\n".join(lines) + "\n")
    return path


def options(file: Path, targets: object = "sine, product,own") -> dict[str, object]:
    return {"file": str(file), "targets": targets}


def test_options_define_the_objectives_without_the_file(tmp_path: Path) -> None:
    defined = CSV.given(options(tmp_path / "nowhere.csv", ["sine", "own"]))
    assert [objective.name for objective in defined.objectives] == ["sine", "own"]
    assert defined.reference == (2, 2)
    assert defined.ideal == (0, 0)
    assert defined.given({}) is defined
    assert CSV.objectives == ()
    assert CSV.data_state().state == "found"


def test_csv_losses_are_those_of_a_plain_network(file: Path) -> None:
    instance = CSV.load(CPU, None, None, options(file))
    inputs, targets = instance.train
    assert [len(inputs), len(instance.test[0])] == [160, 40]
    assert inputs.shape[1:] == (5,)
    assert targets.shape[1:] == (3,)
    parameters = doubled(instance.start(generator(1)))
    values = iter(parameters.values())
    hidden = inputs.double()
    for layer in range(3):
        linear = nn.Linear(1, 1)
        linear.weight, linear.bias = nn.Parameter(next(values)), nn.Parameter(next(values))
        hidden = linear(hidden) if layer == 2 else linear(hidden).clamp_min(0)
    hidden = hidden.detach()
    expected = [float(((hidden[:, k] - targets[:, k]) ** 2).mean()) for k in range(3)]
    found = instance.losses(parameters, instance.train)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    assert_vmap_is_each(instance, instance.train, torch.eye(3))


def test_csv_learns_what_can_be_learned(file: Path) -> None:
    """Held-out losses far below 1, the cost of the mean."""
    instance = CSV.load(CPU, None, None, options(file))
    weight = torch.full((3,), 1 / 3)
    found = descended(instance, weight, steps=600, lr=0.1, batch_size=64)
    assert (instance.losses(found, instance.test) < torch.tensor([0.1, 0.4, 0.05])).all()


def test_csv_fingerprint_is_that_of_the_table(file: Path) -> None:
    before = CSV.fingerprint(options(file))
    assert CSV.fingerprint(options(file, "sine,product")) != before
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[:0:-1], ""]))
    assert CSV.fingerprint(options(file)) == before
    file.write_text("\n".join([*lines[:-1], "0.1,0.2,r,0.0,1.0,5.0"]))
    assert CSV.fingerprint(options(file)) != before


def test_csv_takes_parts_and_a_path(file: Path) -> None:
    instance = CSV.load(CPU, 50, 10, {"file": file, "targets": ("sine", "own")})
    assert [len(instance.train[0]), len(instance.test[1])] == [50, 10]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "csv needs the option targets, two columns or more to predict: a trade-off takes two; "
             "none is given"),
        ({"targets": "a"}, "csv needs the option targets, two columns or more to predict: a "
                           "trade-off takes two; 'a' is one"),
        ({"targets": "a, b, a"}, "the option targets of csv names 'a' twice; once is enough"),
        ({"targets": '"a,b'}, "the option targets of csv is '\"a,b', and its double quotes do not "
                             "match (unexpected end of data); write names like "
                             'height,"Weight, kg"'),
        ({"targets": ["a", "b\u202e"]}, "the option targets of csv: column 'b\\u202e' is not plain "
                                        "text on one line; leave '\\u202e' out"),
        ({"targets": 3}, "the option targets of csv is names of columns, not 3"),
        ({"targets": ["a", 4]}, "the option targets of csv is names of columns, not ['a', 4]"),
        ({"targets": "a,b"}, "csv needs the option file, the path of a CSV file; it is not given"),
        ({"targets": "a,b", "file": 3}, "csv needs the option file, the path of a CSV file; not 3"),
        ({"targets": "a,b", "file": ""}, "csv needs the option file, the path of a CSV file; "
                                         "not ''"),
        ({"target": "a,b"}, "unknown option of csv 'target'; one of: file, targets"),
    ],
)  # fmt: skip
def test_options_that_define_no_problem(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        CSV.load(CPU, None, None, given)
    assert str(caught.value) == message
    if "file" not in message.split(";")[0]:
        with pytest.raises(InputError) as caught:
            CSV.given(given)
        assert str(caught.value) == message


def test_a_column_with_a_comma_is_named_in_quotes(file: Path) -> None:
    file.write_text(file.read_text().replace("sine", '"Sine, of a"'))
    defined = CSV.given(options(file, '"Sine, of a",own'))
    assert [one.name for one in defined.objectives] == ["Sine, of a", "own"]
    instance = CSV.load(CPU, None, None, options(file, '"Sine, of a", own'))
    assert instance.train[1].shape == (160, 2)
    with pytest.raises(InputError, match=r"no column 'Sine' among its 6; look at its first line"):
        CSV.load(CPU, None, None, options(file, "Sine, of a, own"))


def test_csv_says_what_is_wrong_with_the_file(file: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no column 'cost' among its 6; look at its first line"
    ):
        CSV.load(CPU, None, None, options(file, "sine,cost"))
    file.unlink()
    with pytest.raises(InputError) as caught:
        CSV.load(CPU, None, None, options(file))
    assert str(caught.value) == f"there is no file {file}; name a file that is there"
