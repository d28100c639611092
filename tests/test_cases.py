"""Troubles that people have met in practice with other tools, by their numbers, each with the right
value on the input that it was met with. Tests of the whole kinds stand beside their modules."""

import io
import sqlite3
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl_core import RunConfig, optimizers
from mtl_core.analysis import correlate
from mtl_core.cli import main
from mtl_core.data import sources
from mtl_core.errors import InputError, StoreError
from mtl_core.pareto import ParetoConfig, measures, problems
from mtl_core.pareto.problems import tables
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.exchange import Received
from mtl_core.runs.queue.store import Store
from mtl_core.settings import celeba
from mtl_core.views.pareto_front import FrontQuestion
from mtl_core.views.what_if import Question
from tests import stored
from tests.settings.layouts import write_celeba

TARGETS = ("y1", "y2")
ROWS = np.random.default_rng(0).random((24, 2)).round(3).tolist()
"""R: 24 rows of two random numbers."""


def written(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(folder: Path, *lines: str, targets: tuple[str, ...] = TARGETS) -> tables.Table:
    return tables.read(written(folder, *lines), targets)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def front(path: Path, targets: str = "y1,y2") -> ParetoConfig:
    options = (("file", str(path)), ("targets", targets))
    return ParetoConfig(
        "csv", options, solutions=2, iterations=2, frames=1, lr=0.01, batch_size=8, seeds=(0,)
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def exported(store: Store) -> tuple[str, dict[str, bytes]]:
    """A run's id, and the files of its export by name."""
    config = ParetoConfig.from_preset(
        "toy", "quick", solutions=5, iterations=4, frames=2, seeds=(0,), method="decay"
    )
    stored.put(store, config, stored.solved(config))
    here = Answers(store, {})
    with zipfile.ZipFile(io.BytesIO(exchange.pack([here.find(config)], here))) as archive:
        return config.id, {Path(name).name: archive.read(name) for name in archive.namelist()}


def received(files: dict[str, bytes]) -> list[Received]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return exchange.receive_zip(buffer, "a.zip", Answers(None, {}))


def test_1_weights_do_not_depend_on_scale() -> None:
    gramian = torch.diag(torch.tensor([1.0, 1e-6]))
    weights = optimizers.create("imtl_g", num_tasks=2).weights(gramian, torch.ones(2))
    assert weights.tolist() == pytest.approx([0.000999, 0.999001], abs=1e-6)


def test_1b_the_targets_loss_does_not_jump(shipped_answers: Answers) -> None:
    first, second = 0.005937, 3.951
    gramian = torch.diag(torch.tensor([first**2, second**2]))
    weights = optimizers.create("imtl_g", num_tasks=2).weights(gramian, torch.ones(2))
    assert weights.tolist() == pytest.approx([0.9985, 0.0015], abs=1e-4)
    for name in ("imtl_g", "aligned_mtl"):
        # The budget of the case: at a rate of 1e-2 losses jump by themselves now and then.
        config = RunConfig.from_preset(
            "digits", "quick", auxiliaries=("noisy_digits",), optimizer=name,
            epochs=30, batch_size=32, lr=3e-3,
        )  # fmt: skip
        rows = shipped_answers.shipped[config.id].table("trajectory")
        for _, run in rows[(rows["role"] == "target") & (rows["step"] > 0)].groupby("seed"):
            losses = run.sort_values("step")["train_loss"].to_numpy()
            assert (losses[1:] / losses[:-1]).max() < 1.5, name


def test_16_points_that_are_not_finite_add_nothing() -> None:
    assert measures.hypervolume([[-np.inf, 0.5]], (1, 1)) == 0


def test_1c_statistics_do_not_depend_on_scale() -> None:
    found = correlate([1e-170, 2e-170, 3e-170], [1, 2, 3])
    assert found is not None
    assert found.pearson_r == 1


def test_2_decimal_commas(tmp_path: Path) -> None:
    numbers = [[1.5, 20.5, 0, 0], *([a, b, a + b, a - b] for a, b in ROWS)]
    lines = [";".join(f"{v:.3f}".rstrip("0").rstrip(".").replace(".", ",") for v in row)
             for row in numbers]  # fmt: skip
    assert lines[0] == "1,5;20,5;0;0"
    found = table(tmp_path, "a;b;y1;y2", *lines)
    np.testing.assert_allclose(found.features, [row[:2] for row in numbers], atol=1e-9)


def test_2_a_separator_of_thousands_that_may_be_none(tmp_path: Path) -> None:
    lines = ['"1,250",0.5,1,2', *(f"{a},{b},{a + b},{a - b}" for a, b in ROWS)]
    said = refusal(lambda: table(tmp_path, "a,b,y1,y2", *lines))
    assert "table.csv line 2 has a value in column 'a'" in said


def test_3_one_held_out_row_is_bounded_and_said(tmp_path: Path) -> None:
    for place in range(len(ROWS)):
        lines = [
            f"{5000 if row == place else 0},{a},{a + b},{a - b}" for row, (a, b) in enumerate(ROWS)
        ]
        path = written(tmp_path, "strange,a,y1,y2", *lines)
        if tables.split(tables.read(path, TARGETS)).notes:
            break
    config = front(path)
    (first, *_) = kinds.of(config).carry_out(config, "cpu", None, {})  # type: ignore[misc]
    assert max(first.tables["front"]["test_loss"]) < 10
    assert first.notes == (
        "column 'strange' has one value in the rows to train on, so it is left out",
    )


def test_4_a_huge_value(tmp_path: Path) -> None:
    lines = [f"{a},{b},{a + b},{a - b}" for a, b in ROWS]
    lines[3] = "-1.7976931348623157e+308,1,2,3"
    said = refusal(lambda: tables.split(table(tmp_path, "a,b,y1,y2", *lines)))
    assert "line 5 has a value in column 'a'" in said


def test_5_litter_of_other_systems(exported: tuple[str, dict[str, bytes]]) -> None:
    run, files = exported
    litter = {"__MACOSX/r/._manifest.json": b"\0\5\x16\7", "r/.DS_Store": b"\0\0\0\1Bud1"}
    named = {f"r/{name}": content for name, content in files.items()}
    assert received(litter | named) == [Received(run, (0,))]


def test_6_separators_of_other_systems(exported: tuple[str, dict[str, bytes]]) -> None:
    run, files = exported
    for name in ("..\\manifest.json", "r\\..\\..\\manifest.json", "C:\\r\\manifest.json"):
        assert "points out of it" in refusal(lambda name=name: received({name: b"{}"}))  # type: ignore[misc]
    assert received({f"r\\{name}": content for name, content in files.items()}) == [
        Received(run, (0,))
    ]


def test_7_cifar100_as_keras_returns_it(data: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 20), ("test", 10)):
        arrays[f"x_{split}"] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{split}"] = random.integers(0, 100, (count, 1), dtype=np.int64)
    np.savez(data / "cifar100.npz", **arrays)  # type: ignore[arg-type]
    images, labels = sources.read("cifar100")
    assert images.shape == (30, 32, 32, 3)
    every = np.concatenate([arrays["y_train"], arrays["y_test"]])
    np.testing.assert_array_equal(labels, every[:, 0])


def test_8_quoted_delimiters(tmp_path: Path) -> None:
    header = '"Weight, kg, dry";"Height, cm";y1;y2'
    found = table(tmp_path, header, *(f"{a};{b};{a + b};{a - b}" for a, b in ROWS))
    assert found.features.shape == (24, 2)
    np.testing.assert_array_equal(found.features, ROWS)


def test_9_the_line_that_says_the_delimiter(tmp_path: Path) -> None:
    found = table(tmp_path, "sep=;", "x;y1;y2", *(f"{a};{a + b};{a - b}" for a, b in ROWS))
    assert found.features.shape == (24, 1)


def test_10_a_name_with_a_comma_on_page_url_and_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{a},{a + b},{a - b}" for a, b in ROWS]
    path = written(tmp_path, 'x,"Weight, kg",y2', *lines)
    config = front(path, '"Weight, kg",y2')
    assert [one.name for one in config.definition.objectives] == ["Weight, kg", "y2"]
    query = FrontQuestion.of(config).to_query()
    assert query["problem.targets"] == '"Weight, kg",y2'
    again, told = FrontQuestion.from_query(query)
    assert (again.config(config.method), told) == (config, [])
    command = "front --problem csv --preset quick --iterations 2 --frames 1 --seeds 0 --device cpu"
    options = ("--problem-option", f"file={path}", "--problem-option", 'targets="Weight, kg",y2')
    assert main([*command.split(), *options, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    objectives = artifacts.read(tmp_path / "out").table("front")["objective"]
    assert list(objectives.unique()) == ["Weight, kg", "y2"]


@pytest.mark.parametrize("odd", ["\u00a0", "\u00ad", "\u200b", "\t"])
def test_11_names_go_out_and_come_in(store: Store, tmp_path: Path, odd: str) -> None:
    name = f"Preis{odd}€"
    path = written(tmp_path, f"x;{name};y2", *(f"{a};{a + b};{a - b}" for a, b in ROWS))
    config = front(path, f"{name},y2")
    stored.put(store, config, stored.solved(config))
    here = Answers(store, {})
    content = io.BytesIO(exchange.pack([here.find(config)], here))
    got = exchange.receive_zip(content, "a.zip", Answers(None, {}))
    assert got == [Received(config.id, (0,))]
    assert name in set(exchange.imported()[0][config.id].table("front")["objective"])


def test_12_other_names_of_the_same_files(data: Path) -> None:
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                 "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):  # fmt: skip
        assert name in sources.state("mnist").message
    raw = data / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, shape in (
        ("train-images.idx3-ubyte", (6, 28, 28)),
        ("train-labels.idx1-ubyte", (6,)),
        ("t10k-images.idx3-ubyte", (4, 28, 28)),
        ("t10k-labels.idx1-ubyte", (4,)),
    ):
        sizes = b"".join(size.to_bytes(4, "big") for size in shape)
        content = np.ones(shape, np.uint8).tobytes()
        (raw / name).write_bytes(bytes([0, 0, 8, len(shape)]) + sizes + content)
    assert sources.state("mnist").state == "found"
    images, labels = sources.read("mnist")
    assert (images.shape, labels.tolist()) == ((10, 28, 28), [1] * 10)


def test_13_a_folder_too_many(data: Path) -> None:
    folder = write_celeba(data, (2, 1, 1))
    (folder / "img_align_celeba").rename(folder / "moving")
    (folder / "img_align_celeba").mkdir()
    (folder / "moving").rename(folder / "img_align_celeba" / "img_align_celeba")
    found = celeba.SETTING.load(["smiling"])["smiling"]
    assert found.train.inputs.shape == (2, 3, 64, 64)
    with Image.open(folder / "img_align_celeba" / "img_align_celeba" / "000001.jpg") as image:
        assert abs(int(found.train.inputs[0, 0, 0, 0]) - image.getpixel((0, 109))[0]) <= 1  # type: ignore[index]


def test_14_a_mangled_link() -> None:
    for query in (
        {"setting": "fashion", "amp;target": "fashion2"},
        {"setting": "fashion&amp;target=fashion2"},
    ):
        question, told = Question.from_query(query)
        assert (question.setting, question.target, told) == ("fashion", "fashion2", [])


def test_15_a_store_that_another_program_writes(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.cancel("0123456789abcdef", (0,))
    assert time.monotonic() - started < 20
    other.close()
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert str(store.path) in said
    assert "another program has it open" in said
    assert "writable" not in said


def test_what_a_table_loads_as_is_a_problem(tmp_path: Path) -> None:
    """The cases above end as a network's losses."""
    lines = (";".join(f"{v:.3f}".replace(".", ",") for v in (a, b, a + b, a - b)) for a, b in ROWS)
    path = written(tmp_path, "sep=;", '"Weight, kg";"b";y1;y2', *lines)
    options = {"file": str(path), "targets": "y1,y2"}
    instance = problems.get("csv").load(torch.device("cpu"), None, None, options)
    start = instance.start(torch.Generator().manual_seed(0))
    assert instance.losses(start, instance.test).isfinite().all()
