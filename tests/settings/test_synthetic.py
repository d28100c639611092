"""synthetic: cosines that are exact, noise that is counted, and what they do to the target."""

import subprocess
import sys
from itertools import chain, combinations

import numpy as np
import pytest

from mtl_core import InputError, RunConfig, settings, train
from mtl_core.data.splits import fingerprint
from mtl_core.settings import TaskData, synthetic
from mtl_core.settings.synthetic import relatedness, true_function

SETTING = settings.get("synthetic")
NAMES = [task.name for task in SETTING.tasks]
COSINES = {
    "target": 1.0,
    "cos100": 1.0,
    "cos75": 0.75,
    "cos50": 0.5,
    "cos25": 0.25,
    "cos0": 0.0,
    "cosm50": -0.5,
    "cosm100": -1.0,
}
SIZES = [1_000, 500, 2_000]


@pytest.fixture(scope="module")
def tasks() -> dict[str, TaskData]:
    return SETTING.load(NAMES)


def test_tasks_are_the_target_and_a_grid_of_auxiliaries() -> None:
    cosines = ("100", "75", "50", "25", "0", "m50", "m100")
    grid = [f"cos{cosine}{noise}" for cosine in cosines for noise in ("", "_noise20", "_noise50")]
    assert ["target", *grid] == NAMES
    assert SETTING.task("cos0_noise20").title == "Cosine 0 with the target, 20 % of labels wrong"
    assert SETTING.task("cosm50").title == "Cosine -0.5 with the target"
    helpful = [task.name for task in SETTING.tasks if task.expected == "helpful"]
    assert helpful == ["target", "cos100"], "more data of the target's distribution"


def test_sizes_and_types(tasks: dict[str, TaskData]) -> None:
    for task in SETTING.tasks:
        assert (task.classes, [task.train_size, task.val_size, task.test_size]) == (4, SIZES)
        for split, size in zip(tasks[task.name], SIZES, strict=True):
            assert split.inputs.shape == (size, 20)
            assert (split.inputs.dtype, split.targets.dtype) == (np.float32, np.int64)
            # The four classes are equally probable; this is five standard deviations.
            within = 5 * (0.25 * 0.75 / size) ** 0.5
            assert np.bincount(split.targets) / size == pytest.approx(0.25, abs=within)


def test_prefixes_are_balanced_while_the_classes_last(tasks: dict[str, TaskData]) -> None:
    for name in NAMES:
        counts = np.eye(4, dtype=np.int64)[tasks[name].train.targets].cumsum(axis=0)[:800]
        assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1


def test_every_task_has_inputs_of_its_own(tasks: dict[str, TaskData]) -> None:
    rows = [row.tobytes() for name in NAMES for split in tasks[name] for row in split.inputs]
    assert len(set(rows)) == len(rows)
    every = np.concatenate([split.inputs for name in NAMES for split in tasks[name]])
    assert every.mean(axis=0) == pytest.approx(0, abs=0.02)
    assert np.cov(every.T) == pytest.approx(np.eye(20), abs=0.03)


def test_no_product_is_in_two_functions() -> None:
    pairs = [pairs for cosine, pairs in synthetic._OTHER_PAIRS.items() if abs(cosine) < 100]
    used = list(chain(synthetic._TARGET_PAIRS, *pairs))
    assert len(set(used)) == len(used) == 18
    assert all(one < other < 20 for one, other in used)


def test_cosines_are_exact() -> None:
    """On inputs whose products of coordinates are orthonormal, as they are in expectation.

    Rows of signs whose coordinates are independent in fours: the parities of the bits of the
    row's number under masks of which no four add up to 0, modulo 2 and bit by bit.
    """
    masks: list[int] = []
    for mask in range(1, 2**13):
        sums = {0} | {a ^ b for a, b in combinations(masks, 2)} | set(masks)
        if len(masks) < 20 and not sums & {mask ^ known for known in masks} and mask not in sums:
            masks.append(mask)
    rows = np.arange(2**13)
    parity = [np.array([bin(row & mask).count("1") % 2 for row in rows]) for mask in masks]
    inputs = (1 - 2 * np.stack(parity, axis=1)).astype(np.float32)
    assert inputs.shape == (2**13, 20)
    functions = {name: true_function(name, inputs) for name in COSINES}
    for one, two in combinations(functions, 2):
        f, g = functions[one], functions[two]
        cosine = (f * g).sum() / np.sqrt((f**2).sum() * (g**2).sum())
        assert cosine == pytest.approx(relatedness(one, two).cosine, abs=1e-12)
    for name, f in functions.items():
        assert relatedness(name).cosine == COSINES[name]
        assert (f**2).sum(axis=1).mean() == pytest.approx(3)
        assert f.sum(axis=1) == pytest.approx(0, abs=1e-12)


def test_measured_cosines_are_near_on_a_large_sample_and_on_the_training_data() -> None:
    inputs = np.random.default_rng(0).standard_normal((50_000, 20)).astype(np.float32)
    f = true_function("target", inputs)
    for name in NAMES:
        g = true_function(name, inputs)
        found = relatedness(name)
        cosine = (f * g).sum() / np.sqrt((f**2).sum() * (g**2).sum())
        assert cosine == pytest.approx(found.cosine, abs=0.02)
        assert found.measured == pytest.approx(found.cosine, abs=0.1)
        if abs(found.cosine) < 1:
            assert found.measured != found.cosine


def test_noise_is_counted(tasks: dict[str, TaskData]) -> None:
    for name in NAMES:
        noise = int(name.partition("_noise")[2] or 0) / 100
        assert relatedness(name).label_noise == noise
        for split in tasks[name]:
            true = true_function(name, split.inputs).argmax(axis=1)
            assert (split.targets != true).mean() == noise
            wrong = (split.targets - true)[split.targets != true] % 4
            if noise:
                assert np.bincount(wrong)[1:] / len(wrong) == pytest.approx(1 / 3, abs=0.12)


def test_agreement_is_of_the_noisy_labels_with_the_targets_function() -> None:
    agreement = {name: relatedness(name).label_agreement for name in NAMES}
    assert agreement["target"] == agreement["cos100"] == 1
    assert agreement["cos100_noise20"] == 0.8
    assert agreement["cos100_noise50"] == 0.5
    assert agreement["cosm100"] == 0, "the largest of −f is never the largest of f"
    assert agreement["cos0"] == pytest.approx(0.25, abs=0.05)
    order = ["cosm100", "cosm50", "cos0", "cos25", "cos50", "cos75", "cos100"]
    assert sorted(order, key=agreement.__getitem__) == order


def test_relatedness_of_any_two_tasks() -> None:
    assert relatedness("cos75", "cos50").cosine == 0.375
    assert relatedness("cos50_noise50", "cos50").cosine == 1
    assert relatedness("cosm50", "cosm100").cosine == 0.5
    assert relatedness("target", "cos50").cosine == relatedness("cos50", "target").cosine == 0.5
    assert SETTING.relatedness is not None
    assert SETTING.relatedness("cos25", "target") == relatedness("cos25")
    with pytest.raises(InputError, match=r"^unknown task of synthetic 'cos99'; one of: target, "):
        relatedness("cos99")


def test_fingerprints_are_those_of_the_artifacts(tasks: dict[str, TaskData]) -> None:
    """Pinned: a change here makes every artifact of the setting one on other data."""
    assert fingerprint({"target": tasks["target"]}) == "28087afc67a3d426"
    assert fingerprint(tasks) == "9f1380ecf16ac446"


def test_another_process_draws_the_same(tasks: dict[str, TaskData]) -> None:
    code = (
        "from mtl_core import settings\nfrom mtl_core.data.splits import fingerprint\n"
        "print(fingerprint(settings.get('synthetic').load(['cos50_noise20'])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint({"cos50_noise20": tasks["cos50_noise20"]})


def test_it_is_always_there() -> None:
    assert SETTING.data_state().state == "found"
    assert SETTING.data_state().stamp == ()


def test_encoder_is_a_perceptron() -> None:
    import torch

    for width in (1, 64):
        encoder = SETTING.encoder(width)
        assert encoder(torch.zeros(3, 20)).shape == (3, width)
        assert encoder.features == width
        assert sum(p.numel() for p in encoder.parameters()) == width * (20 + 1 + width + 1)


def test_relatedness_shows_in_transfer() -> None:
    """Data of the same function helps, whatever its sign; another function and noise harm."""
    reached = {}
    for auxiliaries in ((), ("cos100",), ("cosm100",), ("cos0",), ("cos100_noise50",)):
        config = RunConfig.from_preset(
            "synthetic", "quick", auxiliaries=auxiliaries, seeds=(0,), factors=(), epochs=10
        )
        *_, last = (
            row
            for point in train(config, device="cpu")
            for row in point.rows
            if row["role"] == "target"
        )
        reached[config.auxiliaries_label] = last["test_metric"]
    assert reached["cos100"] > reached["stl"] + 0.02
    assert reached["cosm100"] > reached["stl"] + 0.02
    assert reached["cos0"] < reached["stl"] - 0.02
    assert reached["cos100_noise50"] < reached["cos100"] - 0.05
