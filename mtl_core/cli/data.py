"""The commands ``download`` and ``data``: public data sets and one's own, onto this machine."""

import argparse
from pathlib import Path
from typing import Any

from mtl_core import settings
from mtl_core.data import stored
from mtl_core.errors import unknown

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the commands."""
    parser = commands.add_parser("download", help="fetch a public data set")
    parser.set_defaults(command=_download)
    parser.add_argument("name", metavar="DATASET")

    own = commands.add_parser("data", help="make a setting of your own table or images")
    parts = own.add_subparsers(required=True, metavar="add|list|remove", parser_class=type(parser))
    listing = parts.add_parser("list", help="own data that is stored here")
    listing.set_defaults(command=_list)
    old = parts.add_parser("remove", help="take own data off this machine; runs on it stay")
    old.set_defaults(command=_remove)
    old.add_argument("name", metavar="NAME", help="as `data list` has it")
    new = parts.add_parser("add", help="store a CSV, TSV, Parquet or npz file as a setting")
    new.set_defaults(command=_add)
    new.add_argument("file", type=Path, metavar="FILE")
    new.add_argument("--labels", nargs="+", required=True, metavar="COLUMN", help="a task each")
    new.add_argument("--inputs", nargs="+", metavar="COLUMN", help="default: all others that can")
    kinds = "default: guessed, and said"
    new.add_argument("--classes", nargs="*", metavar="LABEL", help=f"labels to classify; {kinds}")
    new.add_argument("--categories", nargs="*", metavar="INPUT", help=f"names; {kinds}")
    new.add_argument("--group", default="", metavar="COLUMN", help="kept on one side of the split")
    new.add_argument("--network", choices=stored.NETWORKS, help="default: mlp, of images cnn")
    new.add_argument("--fill-missing", action="store_true", help="inputs, by the training mean")
    new.add_argument("--drop-unlabelled", action="store_true", help="rows without a label")
    new.add_argument("--name", default="", help="what the setting is called; default: the file's")


def _download(options: argparse.Namespace) -> int:
    from mtl_core.data import sources

    every = map(settings.get, settings.names())
    known = list(dict.fromkeys(name for setting in every for name in setting.sources))
    if options.name not in known:
        raise unknown("data set", options.name, known)
    print(sources.download(options.name))
    return 0


def _list(options: argparse.Namespace) -> int:
    for setting in map(settings.get, stored.names()):
        tasks = ", ".join(task.name for task in setting.tasks)
        print(f"{setting.name}  data {setting.data_state().state:8} {setting.title}: {tasks}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from mtl_core.runs import Store
    from mtl_core.views import own_data

    print(own_data.remove(options.name, Store()))
    return 0


def _add(options: argparse.Namespace) -> int:
    from mtl_core.data import own, sheet
    from mtl_core.data.adding import prepare
    from mtl_core.views import own_data

    found = sheet.read(
        own.content(own.located(options.file), sheet.most_bytes()), options.file.name
    )
    made = prepare(
        found,
        options.labels,
        inputs=options.inputs,
        classes=options.classes,
        categories=options.categories,
        network=options.network or "",
        group=options.group,
        fill=options.fill_missing,
        drop=options.drop_unlabelled,
        title=options.name,
    )
    name = stored.save(made.described, made.arrays)
    setting = settings.get(name)
    print(f"{name}  {setting.title}")
    print(setting.description)
    if made.described.inputs:
        print(f"inputs: {', '.join(made.described.inputs)}")
    taken = {*made.described.inputs, *options.labels, options.group}
    for column in found.columns if options.inputs is None else ():
        if column.name not in taken:
            print(f"left out: {column.name} ({own_data.looks(column)})")
    for task in setting.tasks:
        kind = "a number to predict" if task.classes == 1 else f"{task.classes} classes"
        print(f"{task.name}: {kind}")
    print(f"python -m mtl_core run --setting {name} --preset quick --seeds 0 --out out")
    return 0
