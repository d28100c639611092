"""The optimizers that there are, and what a wrong request costs."""

import re
from typing import Any

import pytest
import torch

from mtl_core import InputError, optimizers
from mtl_core.optimizers import Option

ORDER = """
    umtg mean mgda pcgrad gradnorm cagrad nash_mtl imtl_g imtl_l aligned_mtl upgrad gradvac fairgrad
    uncertainty dwa rlw famo graddrop
"""


def test_names_start_with_the_papers_baseline() -> None:
    assert optimizers.names() == [name for name in ORDER.split() if name in optimizers.names()]
    assert optimizers.names()[:2] == ["umtg", "mean"]
    for name in optimizers.names():
        assert isinstance(optimizers.create(name, num_tasks=3).needs_gramian, bool)


def test_every_method_has_its_file_and_a_title_of_its_own() -> None:
    rules = [optimizers.rule(name) for name in optimizers.names()]
    assert len({rule.title for rule in rules}) == len(rules)
    for name, rule in zip(optimizers.names(), rules, strict=True):
        does = rule.weights or rule.update
        assert does is not None
        assert does.__module__ == f"mtl_core.optimizers.{name}"
        assert (rule.weights is None) != (rule.update is None)


@pytest.mark.parametrize("name", ["pcgard", "", None, 4, [], {"a": 1}])
def test_unknown_optimizer(name: object) -> None:
    for request in (optimizers.rule, optimizers.options):
        with pytest.raises(InputError) as caught:
            request(name)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        optimizers.create(name, num_tasks=2)  # type: ignore[arg-type]
    known = ", ".join(optimizers.names())
    assert str(caught.value) == f"unknown optimizer {name!r}; one of: {known}"


@pytest.mark.parametrize("option", ["c", "name", "self"])
@pytest.mark.parametrize(("name", "known"), [("umtg", "scale"), ("gradnorm", "alpha, lr, scale")])
def test_unknown_option(name: str, known: str, option: str) -> None:
    with pytest.raises(InputError) as caught:
        optimizers.create(name, num_tasks=2, **{option: 1})
    message = str(caught.value)
    assert message == f"unknown option {option!r} of optimizer {name!r}; one of: {known}"


@pytest.mark.parametrize("name", optimizers.names())
def test_options_keep_their_own_rules(name: str) -> None:
    """Defaults are allowed, in their type, and as the text that the command line would give."""
    *own, scale = optimizers.options(name)
    assert scale is optimizers.SCALE
    assert len({option.name for option in own} | {"scale"}) == len(own) + 1
    for option in (*own, scale):
        assert option.check(name, option.default) == option.default
        text = str(option.default).lower() if option.default in (True, False) else option.default
        assert option.parse(name, str(text)) == option.default
        if not option.choices:
            assert option.least <= option.default <= option.most  # type: ignore[operator]
    method = optimizers.create(name, num_tasks=2)
    assert optimizers.changed(method) == {}
    assert list(method.options) == [option.name for option in (*own, scale)]


def test_changed_options() -> None:
    method = optimizers.create("gradnorm", num_tasks=2, alpha=0, lr=0.025, scale="match_sum")
    assert optimizers.changed(method) == {"alpha": 0.0, "scale": "match_sum"}
    assert type(method.options["alpha"]) is float


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-0.5, "is -0.5, but must be at least 0 and at most 1"),
        (1.5, "is 1.5, but must be at least 0 and at most 1"),
        (float("nan"), "is nan, but must be at least 0 and at most 1"),
        (True, "is True, not a number"),
        ("0.5", "is '0.5', not a number"),
        (None, "is None, not a number"),
        (10**400, f"is 1{'0' * 59}…, not a number"),
    ],
)
def test_a_number_that_an_option_may_not_be(value: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        optimizers.create("gradvac", num_tasks=2, beta=value)
    assert str(caught.value) == f"option 'beta' of optimizer 'gradvac' {problem}"


def test_other_types_of_options() -> None:
    whole = Option("n", 3, "How many.", least=1)
    assert whole.check("x", 5) == 5
    for value, problem in (
        (0, "is 0, but must be at least 1"),
        (2.0, "is 2.0, not a whole number"),
    ):
        with pytest.raises(InputError, match=re.escape(f"option 'n' of optimizer 'x' {problem}")):
            whole.check("x", value)
    switch = Option("on", True, "Whether.")
    assert switch.parse("x", "false") is False
    with pytest.raises(InputError, match="is 'yes', not true or false"):
        switch.parse("x", "yes")
    share = Option("c", 0.5, "A share.", least=0, below=1)
    assert share.check("x", 0) == 0.0
    with pytest.raises(InputError, match=r"is 1\.0, but must be at least 0 and below 1"):
        share.check("x", 1)
    with pytest.raises(InputError, match="is 'half', not a number"):
        share.parse("x", "half")
    with pytest.raises(InputError, match="is inf, but must be"):
        share.parse("x", "inf")


def test_an_unknown_word() -> None:
    with pytest.raises(InputError) as caught:
        optimizers.create("umtg", num_tasks=2, scale="double")
    assert str(caught.value) == (
        "option 'scale' of optimizer 'umtg' is 'double', not one of: raw, match_sum"
    )


@pytest.mark.parametrize("tasks", [0, -1, 2.0, True, None, "2"])
def test_number_of_tasks(tasks: Any) -> None:
    with pytest.raises(InputError, match="is not a whole number above 0"):
        optimizers.create("umtg", num_tasks=tasks)


@pytest.mark.parametrize("name", optimizers.names())
def test_wrong_shapes(name: str) -> None:
    method = optimizers.create(name, num_tasks=3)
    call = method.update if method.needs_jacobian else method.weights
    for losses in (torch.ones(2), torch.ones(3, 2), torch.tensor(1.0)):
        first = torch.ones(*losses.shape, 4 if method.needs_jacobian else losses.shape[-1:].numel())
        with pytest.raises(InputError, match=r"are not those of 3 tasks; they must be \(..., 3\)"):
            call(first, losses)
        if method.needs_losses_after:
            with pytest.raises(InputError, match="are not those of 3 tasks"):
                method.observe(losses)
    with pytest.raises(InputError, match=r"does not belong to losses of shape \(2, 3\)"):
        call(torch.ones(3, 3), torch.ones(2, 3))
    assert method.state == {}


@pytest.mark.parametrize("name", optimizers.names())
def test_what_a_method_needs_it_must_get(name: str) -> None:
    losses = torch.ones(2)
    method = optimizers.create(name, num_tasks=2)
    matched = optimizers.create(name, num_tasks=2, scale="match_sum")
    if method.needs_jacobian:
        with pytest.raises(InputError, match="is not a weighting of task gradients; call update"):
            method.weights(torch.eye(2), losses)
        return
    with pytest.raises(InputError, match="is a weighting; call weights"):
        method.update(torch.eye(2), losses)
    assert matched.needs_gramian
    if method.needs_gramian or method.needs_last_layer:
        with pytest.raises(InputError, match=f"optimizer '{name}' needs the Gramian"):
            method.weights(None, losses)
    else:
        assert method.weights(None, losses).shape == (2,)
        with pytest.raises(InputError, match="scale 'match_sum' needs the Gramian"):
            matched.weights(None, losses)


def test_one_generator_for_all_or_one_for_each() -> None:
    method = optimizers.create("rlw", num_tasks=2)
    generators = [torch.Generator() for _ in range(3)]
    assert method.weights(None, torch.ones(3, 2), generators).shape == (3, 2)
    with pytest.raises(InputError, match="3 generators for 2 replicas; pass one for all"):
        method.weights(None, torch.ones(2, 2), generators)
    method.weights(None, torch.ones(2, 2), generators[:1] * 2)


def test_importing_the_registry_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, mtl_core.optimizers as o; o.names(); o.create('pcgrad', num_tasks=2)\n"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
