"""Networks: where they start, and stacked ones compute what single ones do."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mtl_core import RunConfig, settings
from mtl_core.training.network import Network

Digits = Callable[..., RunConfig]
CPU = torch.device("cpu")


def test_stl_and_mtl_of_a_seed_start_equal(digits: Digits) -> None:
    stl = Network(digits(), (5,), CPU).parameters
    mtl = Network(digits("digits2", "noisy_digits"), (5,), CPU).parameters
    assert set(stl) < set(mtl)
    for name, parameter in stl.items():
        assert torch.equal(parameter, mtl[name])
    heads = [mtl[f"heads.{task}.weight"] for task in ("digits1", "digits2", "noisy_digits")]
    assert not torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])


def test_target_and_auxiliary_of_one_name_start_equal(digits: Digits) -> None:
    one = Network(digits("digits2"), (0,), CPU).parameters
    two = Network(RunConfig("digits", "digits2", ("digits1",), width=3), (0,), CPU).parameters
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_seeds_differ_and_do_not_depend_on_each_other(digits: Digits) -> None:
    together = Network(digits("digits2"), (3, 8), CPU).parameters
    alone = Network(digits("digits2"), (8,), CPU).parameters
    for name, parameter in together.items():
        assert torch.equal(parameter[1:], alone[name])
        assert not torch.equal(parameter[0], parameter[1])


def test_initialisation_is_pytorchs_own_and_leaves_its_generator_alone(digits: Digits) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    parameters = Network(digits(width=8), (0,), CPU).parameters
    assert torch.equal(torch.rand(3), expected)
    weight = parameters["heads.digits1.weight"]
    # nn.Linear: uniform in ±1/sqrt(64), of standard deviation 1/sqrt(3·64).
    assert weight.abs().max() <= 1 / 8
    assert weight.std().item() == pytest.approx((3 * 64) ** -0.5, rel=0.1)


SHAPES = {
    "digits": (1, 8, 8),
    "fashion": (1, 28, 28),
    "mnists": (1, 28, 28),
    "cifar100": (3, 32, 32),
    "celeba": (3, 64, 64),
}


@pytest.mark.parametrize("setting", SHAPES)
@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_features_and_logits_are_those_of_plain_modules(
    setting: str, seeds: tuple[int, ...]
) -> None:
    shape = SHAPES[setting]
    target = settings.get(setting).task(settings.get(setting).default_target)
    config = RunConfig(setting, target.name, width=4, seeds=seeds)
    network = Network(config, seeds, CPU)
    random = torch.Generator().manual_seed(0)
    shared_by_all = torch.randn(6, *shape, generator=random)
    own = torch.randn(len(seeds), 6, *shape, generator=random)
    with torch.no_grad():
        for inputs, per_replica in ((shared_by_all, False), (own, True)):
            features = network.features(inputs, per_replica=per_replica)
            logits = network.logits(target.name, features)
            for replica in range(len(seeds)):
                encoder = settings.get(setting).encoder(4)
                head = nn.Linear(encoder.features, target.classes)
                encoder.load_state_dict(
                    {n.removeprefix("encoder."): p[replica] for n, p in network.shared.items()},
                    strict=False,  # BatchNorm's statistics are no parameters
                )
                head.load_state_dict(
                    {n.rpartition(".")[2]: p[replica] for n, p in network.heads.items()}
                )
                expected = encoder(own[replica] if per_replica else shared_by_all)
                # Six images leave BatchNorm little to divide by, which magnifies rounding.
                atol = 3e-4 if settings.get(setting).batch_norm else 1e-6
                close = {"rtol": 1e-5, "atol": atol}
                torch.testing.assert_close(features[replica], expected, **close)
                torch.testing.assert_close(logits[replica], head(expected), **close)


def test_shared_and_heads_are_all_parameters(digits: Digits) -> None:
    network = Network(digits("digits2"), (0, 1), CPU)
    assert network.shared.keys() | network.heads.keys() == network.parameters.keys()
    assert not network.shared.keys() & network.heads.keys()
    assert len(network.shared) == 6
    assert set(network.heads) == {
        f"heads.{task}.{part}" for task in ("digits1", "digits2") for part in ("weight", "bias")
    }
    assert all(p.is_leaf and p.requires_grad and len(p) == 2 for p in network.parameters.values())
