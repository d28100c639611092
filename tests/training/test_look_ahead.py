"""Look-ahead affinity: closed forms, and another implementation in plain PyTorch."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from mtl_core import InputError, RunConfig, TrainingDiverged, settings, train
from mtl_core.training import look_ahead as module
from mtl_core.training.batches import BatchStream
from mtl_core.training.look_ahead import affinities, look_ahead
from mtl_core.training.looks import looks, looks_every
from mtl_core.training.network import Network
from tests.training import tiny

Digits = Callable[..., RunConfig]
LR = 0.05


# Closed forms.


def quadratic(curvature: Tensor, centre: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
    """½ (w − c)ᵀ A (w − c) + 1, whose gradient is A (w − c)."""
    return lambda params: 1 + (params["w"] - centre) @ curvature @ (params["w"] - centre) / 2


def test_affinities_of_quadratic_losses() -> None:
    source = torch.Generator().manual_seed(0)
    dim, tasks = 6, 4
    w = torch.randn(dim, generator=source, dtype=torch.float64)
    roots = torch.randn(tasks, dim, dim, generator=source, dtype=torch.float64)
    curvatures = roots @ roots.mT / dim
    centres = torch.randn(tasks, dim, generator=source, dtype=torch.float64)
    gradients = (curvatures @ (w - centres).unsqueeze(-1)).squeeze(-1)
    for target in range(tasks):
        a, g = curvatures[target], gradients[target]
        value = 1 + (w - centres[target]) @ a @ (w - centres[target]) / 2
        # L(w − η g_i) = L(w) − η ⟨g_i, g⟩ + η² ½ g_iᵀ A g_i, exactly.
        expected = (LR * gradients @ g - LR**2 * ((gradients @ a) * gradients).sum(1) / 2) / value
        loss = quadratic(a, centres[target])
        found = affinities(loss, {"w": w}, [{"w": each} for each in gradients], LR)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        small = affinities(loss, {"w": w}, [{"w": each} for each in gradients], 1e-6)
        assert small[target] > 0, "its own small step always helps"
        assert torch.equal(small.sign(), (gradients @ g).sign()), "to first order an inner product"


def test_a_step_that_solves_a_task_has_affinity_1_and_no_step_0() -> None:
    w = torch.tensor([3.0, -4.0], dtype=torch.float64)
    loss = lambda params: params["w"].square().sum()  # noqa: E731
    found = affinities(loss, {"w": w}, [{"w": 2 * w}, {"w": 0 * w}, {"w": -2 * w}], 0.5)
    assert found.tolist() == [1, 0, -3]


# Another implementation: modules, an optimizer's steps, and losses in float32.


def by_hand(config: RunConfig) -> dict[str, list[float]]:
    """Task -> its affinity onto the target at each step, on a run with plain SGD on the sum."""
    setting, seed = settings.get(config.setting), config.seeds[0]
    start = Network(config, (seed,), torch.device("cpu"))
    encoder = copy.deepcopy(start.encoder)
    encoder.load_state_dict(start.single(0))
    heads = {}
    for task in config.tasks:
        heads[task] = nn.Linear(encoder.features, setting.task(task).classes)  # type: ignore[arg-type]
        with torch.no_grad():
            heads[task].weight.copy_(start.parameters[f"heads.{task}.weight"][0])
            heads[task].bias.copy_(start.parameters[f"heads.{task}.bias"][0])
    data = {
        task: [torch.from_numpy(part) for part in (split.inputs, split.targets)]
        for task, split in (
            (task, own.train.first(config.samples))
            for task, own in setting.load(config.tasks).items()
        )
    }
    parameters = [*encoder.parameters(), *(p for head in heads.values() for p in head.parameters())]
    stepping = torch.optim.SGD(parameters, lr=config.lr)
    found: dict[str, list[float]] = {task: [] for task in config.tasks}
    for step in range(config.steps):
        batch = {}
        for task in config.tasks:
            order = BatchStream(seed, task, len(data[task][1]), config.batch_size).batch(step)
            batch[task] = [part[torch.from_numpy(order)] for part in data[task]]

        def loss(task: str, of: nn.Module, batch: dict[str, list[Tensor]] = batch) -> Tensor:
            images, labels = batch[task]
            return nn.functional.cross_entropy(heads[task](of(images)), labels)

        before = loss(config.target, encoder).item()
        for task in config.tasks:
            ahead = copy.deepcopy(encoder)
            own = torch.optim.SGD(ahead.parameters(), lr=config.lr)
            loss(task, ahead).backward()
            own.step()
            with torch.no_grad():
                found[task].append(1 - loss(config.target, ahead).item() / before)
        stepping.zero_grad()
        torch.stack([loss(task, encoder) for task in config.tasks]).sum().backward()
        stepping.step()
    return found


@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_looks_ahead_as_plain_pytorch_does(digits: Digits, seed: int) -> None:
    config = digits(
        "digits2", "noisy_digits", base_optimizer="sgd", lr=LR, seeds=(seed,), factors=()
    )
    expected, found = by_hand(config), look_ahead(config)
    assert found.looks == (4, 4)
    for task, steps in expected.items():
        own = [np.mean(steps[:4]), np.mean(steps[4:])]
        # Differences of float32 losses near 2: to some 1e-7 each.
        assert found.epochs[task] == pytest.approx(own, rel=1e-3, abs=1e-6)
        assert found.affinity[task] == pytest.approx(np.mean(steps), rel=1e-3, abs=1e-6)
    assert min(found.epochs["digits1"]) > 0, "the target's own step lowers its loss"


@pytest.mark.parametrize("kind", [tiny.images, tiny.scenes, tiny.vectors])
def test_every_kind_of_run_has_its_targets_own_step_help(
    kind: Callable[[], settings.Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchNorm, pixels on one input, regression: to first order Z_jj is η ‖g_j‖² / L_j > 0."""
    tiny.register(monkeypatch, kind())
    names = [task.name for task in settings.get("tiny").tasks]
    for target in names:
        others = tuple(name for name in names if name != target)
        config = RunConfig.from_preset(
            "tiny", "quick", target=target, auxiliaries=others, lr=1e-4, seeds=(0,), factors=()
        )
        assert min(look_ahead(config).epochs[target]) > 0


def test_looks_change_nothing_of_the_run(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    config = digits("digits2", factors=())
    stands: list[Tensor] = []
    kept = module.Replicas.train_step

    def step(replicas: module.Replicas) -> None:
        kept(replicas)
        stands.append(replicas.network.parameters["encoder.layers.0.weight"].detach().clone())

    monkeypatch.setattr(module.Replicas, "train_step", step)
    look_ahead(config)
    with_looks, stands = stands, []
    monkeypatch.setattr(module, "_look", lambda config, _: dict.fromkeys(config.tasks, 0.0))
    assert set(look_ahead(config).affinity.values()) == {0}
    assert len(stands) == config.steps
    assert all(map(torch.equal, with_looks, stands))


def test_at_most_200_looks_are_evenly_spaced(digits: Digits) -> None:
    assert looks_every(digits("digits2")) == 1
    long = digits("digits2", epochs=51)  # 204 steps
    assert looks_every(long) == 2
    found = look_ahead(replace(long, factors=()))
    assert (sum(found.looks), set(found.looks)) == (102, {2})
    assert looks(digits("digits2", epochs=1_000))[:7] == (
        1,
        0,
        0,
        0,
        0,
        1,
        0,
    )  # every 20th of 4,000
    told: list[float] = []
    look_ahead(digits("digits2", factors=()), tell=told.append)
    assert told == [step / 8 for step in range(8)]


def test_what_cannot_be_looked_at_is_named(digits: Digits) -> None:
    with pytest.raises(InputError, match="at least one auxiliary"):
        look_ahead(digits())
    with pytest.raises(TrainingDiverged, match="'digits1' is 0 or has left the numbers at lr 1e"):
        look_ahead(digits("digits2", base_optimizer="sgd", lr=1e20, factors=()))
    assert list(train(digits()))[-1].step == 8


# On synthetic, where the cosines are known.


def test_on_synthetic_the_ranks_follow_the_true_cosine_loosely() -> None:
    """Over all 21 auxiliaries of three joint runs ρ with |cosine| was .46, .43 and .51; of the
    seven with clean labels .56, .89 and .67. Chance reaches .43 with 21 in 5 % of the cases."""
    setting = settings.get("synthetic")
    others = tuple(task.name for task in setting.tasks if task.name != "target")
    config = RunConfig.from_preset("synthetic", "quick", auxiliaries=others, seeds=(0,), factors=())
    found = look_ahead(config).affinity
    known = setting.relatedness
    assert known is not None
    cosines = [abs(known(name, "target").cosine) for name in others]
    rho = stats.spearmanr([found[name] for name in others], cosines).statistic
    assert 0.25 < rho < 0.7
    assert found["target"] > 20 * max(found[name] for name in others), "its own gradient helps most"
    assert math.isfinite(sum(found.values()))
