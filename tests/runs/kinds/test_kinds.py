"""Kinds: what their tables keep of rows, and which there are."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Derived, Piece, Table
from mtl_core.runs.kinds.base import columns_of, packed

Make = Callable[..., Any]
TABLE = Table(("seed", "step", "task", "loss"), words=("task",), order=("seed", "step", "task"))
NAN = float("nan")


def rows(*values: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(TABLE.columns, row, strict=True)) for row in values]


def test_rows_come_back_as_they_were_through_json() -> None:
    given = rows((1, 0, "a", 0.1 + 0.2), (1, 0, "b", None), (1, 0, "c", 1e-300), (1, 0, "d", NAN))
    columns = columns_of(given, TABLE.columns)
    assert columns["seed"] == 1, "what all rows share is written once"
    assert columns[""] == 4
    frame = TABLE.frame([json.loads(json.dumps(columns))])
    assert frame["loss"].tolist()[:3:2] == [0.1 + 0.2, 1e-300], "to the last bit"
    assert frame["loss"].isna().tolist() == [False, True, False, True]
    assert frame["task"].tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1.5, 1.5, 1.5], 1.5),
        ([None, None], None),
        ([0.0], 0.0),
        (["x", "x"], "x"),
        ([1, 2], [1, 2]),
        ([None, 1.0], [None, 1.0]),
        ([], []),
    ],
)
def test_a_shared_value_is_packed(values: list[Any], kept: Any) -> None:
    assert packed({"x": values}, len(values)) == {"": len(values), "x": kept}


def test_values_that_equal_nothing_are_all_kept() -> None:
    one = packed({"x": [NAN, NAN]}, 2)["x"]
    assert [math.isnan(value) for value in (one if isinstance(one, list) else [one] * 2)] == [
        True
    ] * 2


@pytest.mark.parametrize("descending", [(), ("task",), ("seed", "task")])
def test_rows_are_sorted_whether_or_not_they_come_in_order(descending: tuple[str, ...]) -> None:
    form = Table(
        TABLE.columns, words=TABLE.words, order=("seed", "step", "task"), descending=descending
    )
    random = np.random.default_rng(3)
    for place in range(200):
        few = random.integers(0, 2, size=(6, 2)), random.choice(["a", "b"], size=6)
        given = [
            (int(s), int(t), str(w), float(i))
            for i, ((s, t), w) in enumerate(zip(*few, strict=True))
        ]
        up = [name not in descending for name in form.order]
        wanted = pd.DataFrame(rows(*given)).sort_values(
            list(form.order), ascending=up, kind="stable", ignore_index=True
        )
        if place % 2:  # in order already
            given = [tuple(row) for row in wanted.itertuples(index=False)]
        found = form.frame([columns_of(rows(*given), TABLE.columns)])
        assert found.values.tolist() == wanted.values.tolist()


def test_types_do_not_depend_on_the_rows() -> None:
    types = {"seed": "int64", "step": "int64", "task": "str", "loss": "float64"}
    for given in ([], rows((0, 0, "a", None)), rows((0, 0, "a", 1)), rows((0, 0, "a", 1.5))):
        frame = TABLE.frame([columns_of(given, TABLE.columns)] if given else [])
        assert len(frame) == len(given)
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == types
        assert frame.columns.tolist() == list(TABLE.columns)


def test_rows_are_in_order_whatever_the_order_of_pieces() -> None:
    down = Table(TABLE.columns, ("task",), order=("seed", "step", "task"), descending=("step",))
    given = rows((0, 0, "b", 1), (0, 0, "a", 2), (0, 3, "a", 3), (1, 0, "a", 4))
    parts = [columns_of([row], TABLE.columns) for row in reversed(given)]
    assert TABLE.frame(parts)["loss"].tolist() == [2, 1, 3, 4]
    assert down.frame(parts)["loss"].tolist() == [3, 2, 1, 4]


def test_rows_that_agree_keep_their_order() -> None:
    form = Table(TABLE.columns, ("task",), order=("seed", "step"))
    given = rows((0, 0, "b", 1), (0, 0, "a", 2), (0, 0, "c", 3))
    assert form.frame([columns_of(given, TABLE.columns)])["task"].tolist() == ["b", "a", "c"]


def test_what_is_tidy_stays_as_it_is() -> None:
    frame = TABLE.frame([columns_of(rows((0, 1, "a", None), (0, 0, "a", 2)), TABLE.columns)])
    pd.testing.assert_frame_equal(TABLE.tidied(frame), frame, check_exact=True)
    extra = frame.iloc[::-1].assign(x=1)[["x", "loss", "task", "step", "seed"]]
    pd.testing.assert_frame_equal(TABLE.tidied(extra), frame, check_exact=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop(columns="loss"),
        lambda t: t.assign(loss="low"),
        lambda t: t.assign(step=[NAN]),
        lambda t: t.assign(seed=[np.inf]),
    ],
)
def test_what_is_no_such_table_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    frame = TABLE.frame([columns_of(rows((0, 0, "a", 1.0)), TABLE.columns)])
    with pytest.raises((ValueError, TypeError, KeyError)):
        TABLE.tidied(change(frame))


# Columns that follow from others.

LOW = Table(
    ("seed", "step", "loss", "low", "task"),
    words=("task",),
    order=("loss",),
    derived={"low": Derived("loss", lambda loss: loss < 1)},
)


def test_a_derived_column_is_computed_for_the_rows_in_their_order() -> None:
    given = rows((0, 0, "a", 3.0), (0, 1, "b", 0.5), (0, 2, "c", None))
    lacking = columns_of(given, LOW.given)
    assert LOW.given == ("seed", "step", "loss", "task")
    frame = LOW.frame([lacking])
    assert frame.columns.tolist() == list(LOW.columns)
    assert frame["task"].tolist() == ["b", "a", "c"]
    assert frame["low"].tolist() == [True, False, False]
    assert str(frame["low"].dtype) == str(LOW.frame([])["low"].dtype) == "bool"
    pd.testing.assert_frame_equal(LOW.tidied(frame), frame, check_exact=True)
    pd.testing.assert_frame_equal(LOW.tidied(frame.drop(columns="low")), frame)


def test_pieces_of_before_it_and_of_today_go_together() -> None:
    (old,), (new,) = rows((0, 0, "a", 3.0)), rows((0, 1, "b", 0.5))
    parts = [columns_of([old], LOW.given), columns_of([new | {"low": True}], LOW.columns)]
    assert LOW.frame(parts)["low"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("low", "contradicts"),
    [
        ([True, False], False),
        ([True, True], True),
        ([False, True], True),
        ([1.0, 0.0], True),
        (["True", "False"], True),
        ([True, None], True),
    ],
)
def test_a_given_column_that_does_not_follow_is_found(low: list[Any], contradicts: bool) -> None:
    frame = LOW.frame([columns_of(rows((0, 0, "a", 3.0), (0, 1, "b", 0.5)), LOW.given)])
    assert LOW.contradiction(frame.drop(columns="low")) is None
    assert LOW.contradiction(frame.assign(low=low)) == ("low" if contradicts else None)
    assert LOW.tidied(frame.assign(low=low))["low"].tolist() == [True, False], "never read"


# Which there are.


@pytest.mark.parametrize("name", ["trainig", "", None, 5, [], {}, "x" * 100_000])
def test_what_is_no_kind_is_named_with_those_there_are(name: object) -> None:
    with pytest.raises(InputError) as caught:
        kinds.get(name)
    message = str(caught.value)
    assert message.startswith(f"unknown kind of experiment {repr(name)[:50]}")
    assert message.endswith("; one of: training, front")
    assert len(message) < 200


@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_kind_is_found_by_its_experiments(
    name: str, make_config: Make, make_front: Make, make_pieces: Make
) -> None:
    config = {"training": make_config, "front": make_front}[name](seeds=(0, 3))
    kind = kinds.of(config)
    assert kinds.get(name) is kind
    assert (kind.name, type(config).kind, kind.config) == (name, name, type(config))
    again = kinds.experiment(name, json.loads(json.dumps(config.to_dict())), seeds=[3])
    assert (again, again.id, again.seeds) == (config, config.id, (3,))
    assert "seeds" not in config.to_dict()
    for form in kind.tables.values():
        assert {"seed", "step"} <= {*form.whole} <= {*form.columns}
        assert {*form.words, *form.order, *form.descending} <= {*form.columns}
        assert {*form.derived} <= {*form.columns}
        assert {one.source for one in form.derived.values()} <= {*form.given}
    pieces = [
        piece for step in (0, kind.steps(config)) for piece in make_pieces(config, (0, 3), step)
    ]
    frames = kind.frames([*reversed(pieces), Piece(0, 1)])
    assert list(frames) == list(kind.tables)
    assert kind.main == next(iter(frames))
    assert set(frames[kind.main]["seed"]) == {0, 3}
    for other, frame in kind.frames(pieces).items():
        pd.testing.assert_frame_equal(frames[other], frame)


@pytest.mark.parametrize("values", [None, [], "training", 5])
def test_a_config_is_an_object(values: Any) -> None:
    for name in kinds.KINDS:
        with pytest.raises(InputError, match="a config must be an object"):
            kinds.experiment(name, values, seeds=(0,))


def test_no_two_experiments_share_a_folder(make_config: Make, make_front: Make) -> None:
    configs = [make_config(), make_config(lr=0.5), make_front(), make_front(lr=0.5)]
    assert len({kinds.of(one).folder(one) for one in configs}) == len(configs)
