"""Published: numbers as a paper printed them, which ship with the measured ones."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mtl_core.analysis import PublishedRow
from mtl_core.direction import Direction
from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts

__all__ = ["PublishedTable", "published_table"]

_NAMES = {
    "Fruits And Vegetables": "fruit_and_vegetables",
    "Outdoor Scenes": "large_natural_outdoor_scenes",
    "Large Herbivores": "large_omnivores_and_herbivores",
    "Invertebrates": "non-insect_invertebrates",
    "Semantic Segmentation": "segmentation",
    "Depth Estimation": "depth",
    "STS-B": "stsb",
    "SST-2": "sst2",
}
"""Tasks whose name here is not their title in lower case with underscores. Of the
two superclasses of large outdoor things, the natural ones are taken to be the paper's scenes."""
_COLUMNS = {
    "transfer": "transfer",
    "sharpness": "delta_sharpness",
    "fisher_trace": "delta_fisher_trace",
    "gradient_covariance": "delta_coherence",
}


@dataclass(frozen=True)
class PublishedTable:
    """M24's Table 1.

    Attributes:
        rows: in the paper's order.
        manifest: where they come from, and what is not known of them.
    """

    rows: tuple[PublishedRow, ...]
    manifest: Mapping[str, Any]

    def of(self, setting: str) -> tuple[PublishedRow, ...]:
        """The rows of a setting; none for one that the table does not have."""
        return tuple(row for row in self.rows if row.setting == setting)

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings it has, in its order."""
        return tuple(dict.fromkeys(row.setting for row in self.rows))


def published_table(folder: Path | None = None) -> PublishedTable:
    """M24's Table 1, with tasks by the names that they have here.

    Args:
        folder: with ``table1.csv`` and ``table1.json``; by default the one that ships.

    Raises:
        InputError: when it is not there, or not the file that was put there.
    """
    folder = folder or artifacts.cache_dir() / "published"
    try:
        manifest = json.loads((folder / "table1.json").read_text(encoding="utf-8"))
        content = (folder / manifest["file"]).read_bytes()
        if blake2b(content, digest_size=16).hexdigest() != manifest["table_blake2b"]:
            raise InputError(f"{manifest['file']} is not the file that table1.json describes")
        errors = manifest["lower_is_better"]
        rows = tuple(
            _row(line, errors) for line in csv.DictReader(content.decode("utf-8").splitlines())
        )
    except InputError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the published Table 1 cannot be read ({error})") from error
    return PublishedTable(rows, manifest)


def _row(line: Mapping[str, str], errors: list[str]) -> PublishedRow:
    title = line["task"]
    task = _NAMES.get(title, title.lower().replace(" ", "_"))
    deltas = {column: float(line[name]) for column, name in _COLUMNS.items()}
    direction: Direction = "lower" if task in errors else "higher"
    return PublishedRow(line["setting"], task, title, deltas, direction)
