"""Pretrained models: where they are found, what they are called, and what tells them apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl_core.data.pretrained import Package, packaged, placed


def model(folder: Path, weights: bytes = b"weights", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.mark.parametrize(
    ("inside", "config", "name"),
    [
        ("", {"_name_or_path": "roberta-base"}, "roberta-base"),
        ("", {"_name_or_path": "FacebookAI/roberta-base/"}, "roberta-base"),
        ("mine", {"_name_or_path": "roberta-base"}, "mine"),
        (
            "",
            {"model_type": "roberta", "num_hidden_layers": 12, "hidden_size": 768},
            "roberta, 12 layers of width 768",
        ),
        ("", {"model_type": "distilbert", "n_layers": 6}, "distilbert"),
        ("", {"_name_or_path": "<b>", "model_type": "a\nb"}, "a model of unknown type"),
        ("", {"_name_or_path": "x" * 61, "model_type": 3}, "a model of unknown type"),
        ("", {}, "a model of unknown type"),
    ],
)
def test_a_models_name(tmp_path: Path, inside: str, config: dict[str, Any], name: str) -> None:
    folder = model(tmp_path / "encoder" / inside, **config)
    found = placed(tmp_path / "encoder")
    assert found is not None
    assert (found.name, found.folder) == (name, folder)


@pytest.mark.parametrize("content", ["{", "[]", "", '{"_name_or_path": null}'])
def test_a_config_that_says_nothing(tmp_path: Path, content: str) -> None:
    (model(tmp_path / "encoder") / "config.json").write_text(content)
    found = placed(tmp_path / "encoder")
    assert found is not None
    assert found.name == "a model of unknown type"


def test_no_model_in_a_folder(tmp_path: Path) -> None:
    assert placed(tmp_path) is None
    assert placed(tmp_path / "nowhere") is None


def test_a_packages_model_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("mtl_test_model", "inner", "Tiny", "mtl-test-model>=1")
    assert packaged(package) is None
    folder = tmp_path / "mtl_test_model"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packaged(package) is None, "it has no model"
    model(folder / "inner", _name_or_path="its base")
    found = packaged(package)
    assert found is not None
    assert (found.name, found.folder) == ("Tiny", folder / "inner")


def test_a_digest_is_that_of_weights_and_config(tmp_path: Path) -> None:
    folders = {
        "one": model(tmp_path / "one", num_attention_heads=2),
        "copy": model(tmp_path / "copy", num_attention_heads=2),
        "other weights": model(tmp_path / "two", b"others", num_attention_heads=2),
        "other heads": model(tmp_path / "three", num_attention_heads=4),
        "more weights": model(tmp_path / "four", num_attention_heads=2),
    }
    (folders["copy"] / "README.md").write_text("no part of the model")
    (folders["more weights"] / "model-2.safetensors").write_bytes(b"weights")
    digests = {name: placed(folder).digest for name, folder in folders.items()}  # type: ignore[union-attr]
    assert digests["one"] == digests.pop("copy")
    assert len(set(digests.values())) == 4
    assert {len(digest) for digest in digests.values()} == {16}


def test_replaced_weights_are_read_anew(tmp_path: Path) -> None:
    found = placed(model(tmp_path))
    assert found is not None
    before = found.digest
    model(tmp_path, b"others!")
    assert found.digest != before
    assert {path.name for path in found.files} == {"config.json", "model.safetensors"}
