"""Batches without the padding that they share: the same numbers, from shorter batches."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl_core import RunConfig
from mtl_core.training import padding
from mtl_core.training.replicas import Replicas
from mtl_core.trajectory import FACTORS
from tests.training import tiny

CPU = torch.device("cpu")


def untrimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "lengths", lambda encoder, inputs: None)


def config(**changes: Any) -> RunConfig:
    small = {
        "auxiliaries": ("score",),
        "batch_size": 4,
        "epochs": 1,
        "width": 3,
        "lr": 0.1,
        "base_optimizer": "sgd",
        "seeds": (0, 3),
        "early_checkpoints": 0,
        "factor_examples": 150,
        "apgd_steps": 4,
        "fisher_draws": 2,
        "similarity_batches": 6,
        "auxiliary_factors": True,
    }
    return RunConfig("tiny", "kind", **(small | changes))


# Its parts.


def test_an_encoder_without_lengths_has_no_padding() -> None:
    assert padding.lengths(nn.Linear(2, 2), torch.zeros(3, 2)) is None


def test_cut_goes_in_steps_of_eight() -> None:
    inputs = torch.arange(60).view(2, 30)
    sizes = {longest: padding.cut(inputs, longest).shape[1] for longest in (1, 8, 9, 24, 25, 30)}
    assert sizes == {1: 8, 8: 8, 9: 16, 24: 24, 25: 30, 30: 30}
    assert torch.equal(padding.cut(inputs, 5), inputs[:, :8])


def test_batches_that_go_together_are_alike_on_a_gpu_alone() -> None:
    assert padding.common([9, 30, 12], CPU) == [9, 30, 12]
    assert padding.common([9, 30, 12], torch.device("cuda")) == [30, 30, 30]


@pytest.mark.parametrize("most", [1, 40, 64, 1000])
def test_chunks_are_all_examples_once_by_length(most: int) -> None:
    lengths = torch.randint(1, 40, (50,), generator=torch.Generator().manual_seed(0))
    parts = list(padding.chunks(lengths, most))
    assert sorted(torch.cat(parts).tolist()) == list(range(50))
    ordered = lengths[torch.cat(parts)]
    assert torch.equal(ordered, ordered.sort().values)
    for part in parts:
        whole = 8 * math.ceil(int(lengths[part].max()) / 8)
        assert len(part) == 1 or len(part) * whole <= most
    for part, after in pairwise(parts):
        assert (len(part) + 1) * 8 * math.ceil(int(lengths[after[0]]) / 8) > most, "it had room"


def test_no_texts_make_no_chunks() -> None:
    assert list(padding.chunks(torch.zeros(0, dtype=torch.int64), 8)) == []


# In a run.


@pytest.mark.parametrize("seeds", [(0,), (0, 3)])
def test_everything_measured_is_as_without_trimming(
    seeds: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps, losses, metrics and all factors of both tasks, to rounding."""
    tiny.register(monkeypatch, tiny.texts())
    found = []
    for trimming in (True, False):
        if not trimming:
            untrimmed(monkeypatch)
        replicas = Replicas(config(seeds=seeds), seeds, CPU)
        for _ in range(5):
            replicas.train_step()
        measured = replicas._meter.measure(replicas.step)
        factors = [measured.values[task][name] for task in ("kind", "score") for name in FACTORS]
        found.append((replicas.state(), replicas._evaluate(), factors, measured.cosines))
    (state, scores, factors, cosines), (plain, expected, theirs, others) = found
    for name, value in state.items():
        if name != "seconds":
            assert value == pytest.approx(plain[name], rel=1e-4, abs=1e-6), name
    for task in ("kind", "score"):
        for ours, other in zip(scores[task], expected[task], strict=True):
            assert ours == pytest.approx(other, rel=1e-5)
    for one, two in zip(factors, theirs, strict=True):
        assert one == pytest.approx(two, rel=1e-4)
        assert None not in one
    for mine, other in zip(cosines, others, strict=True):
        assert mine["cosine"] == pytest.approx(other["cosine"], rel=1e-4, abs=1e-6)


def test_batches_are_as_short_as_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is encoded: no step of eight is padding in all of its texts."""
    tiny.register(monkeypatch, tiny.texts())
    replicas = Replicas(config(), (0, 3), CPU)
    encoder, shapes = replicas._network.encoder, []
    inner = encoder.forward

    def seen(tokens: Tensor) -> Tensor:
        shapes.append(tuple(tokens.shape))
        return inner(tokens)

    monkeypatch.setattr(encoder, "forward", seen)
    inputs, _ = replicas.batches()
    for task, own in zip(("kind", "score"), inputs, strict=True):
        longest = int(padding.lengths(encoder, own).max())  # type: ignore[union-attr]
        assert own.shape == (2, 4, min(8 * math.ceil(longest / 8), 30)), task
    assert inputs[0].shape != inputs[1].shape, "each task at its own length"
    replicas.train_step()
    replicas._meter.measure(1)
    replicas._evaluate()
    assert {length for _, length in shapes} == {8, 16, 24, 30}
    assert all(count == 4 for count, _ in shapes[:2])


def test_a_gpu_gets_the_tasks_of_a_step_at_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.register(monkeypatch, tiny.texts())
    own = Replicas(config(), (0, 3), CPU)
    alone, _ = own.batches()
    monkeypatch.setattr(padding, "common", lambda longest, _: [max(longest)] * len(longest))
    together, _ = own.batches()
    width = max(part.shape[2] for part in alone)
    assert [part.shape for part in together] == [(2, 4, width)] * 2
    for part, other in zip(alone, together, strict=True):
        assert torch.equal(part, other[..., : part.shape[2]])
        assert (other[..., part.shape[2] :] == 0).all()
    one_by_one = own._network.features_of_tasks(alone)
    torch.testing.assert_close(own._network.features_of_tasks(together), one_by_one)
