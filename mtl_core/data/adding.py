"""A user's own table or images as a setting, in one call: for the command line and notebooks."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.data import choices, own, sheet, stored
from mtl_core.data.choices import Prepared
from mtl_core.data.sheet import Sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_data", "prepare"]


def add_data(
    source: "str | Path | pd.DataFrame",
    labels: Sequence[str],
    *,
    inputs: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    group: str = "",
    network: str = "",
    fill: bool = False,
    drop: bool = False,
    title: str = "",
) -> str:
    """Stores a table or images with several labels; the name of the setting that they are now.

    Args:
        source: a CSV, TSV, Parquet or npz file, or a frame.
        labels: columns that are predicted, a task each.
        inputs: columns that are predicted from; default: all others that can be.
        classes: labels to classify; default: what they look like, text and few whole numbers.
        group: a column whose rows of one value stay on one side of the split.
        network: ``mlp``, ``cnn`` or ``resnet18``; default: an MLP, of images the small CNN.
        fill: whether missing inputs become the training mean.
        drop: whether rows without a label are left out.
        title: what the setting is called; default: the file's name.

    Raises:
        InputError: for what cannot be read or learned, with the column, the row and the way out.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        found = sheet.read(own.content(own.located(path), sheet.most_bytes()), path.name)
    else:
        buffer = BytesIO()
        source.to_parquet(buffer, index=False)
        found = sheet.read(buffer.getvalue(), f"{title or 'table'}.parquet")
    made = prepare(
        found,
        labels,
        inputs=inputs,
        classes=classes,
        group=group,
        network=network,
        fill=fill,
        drop=drop,
        title=title,
    )
    return stored.save(made.described, made.arrays)


def prepare(
    found: Sheet,
    labels: Sequence[str],
    *,
    inputs: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    network: str = "",
    **changes: Any,
) -> Prepared:
    """What would be stored: what is not said is guessed as the pages guess it.

    Args:
        categories: numbers among the inputs that are names; texts are in any case.
        changes: other fields of ``choices.Choice``.
    """
    for name in [*labels, *(inputs or ()), *(classes or ())]:
        found.column(name)
    wanted = tuple(dict.fromkeys(labels))
    choice = choices.guessed(found, wanted)
    group = changes.get("group", "")
    taken = choice.inputs if inputs is None else tuple(dict.fromkeys(inputs))
    changes["inputs"] = tuple(name for name in taken if name != group or inputs)
    changes["labels"] = wanted
    if classes is not None:
        changes["classes"] = tuple(classes)
    if categories is not None:
        texts = tuple(name for name in choice.categories if found.column(name).kind == "text")
        changes["categories"] = (*texts, *categories)
    if network:
        changes["network"] = network
    return choices.prepared(found, replace(choice, **changes))
