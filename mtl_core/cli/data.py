"""The command ``download``: a public data set onto this machine."""

import argparse
from typing import Any

from mtl_core import settings
from mtl_core.errors import unknown

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    parser = commands.add_parser("download", help="fetch a public data set")
    parser.set_defaults(command=_download)
    parser.add_argument("name", metavar="DATASET")


def _download(options: argparse.Namespace) -> int:
    from mtl_core.data import sources

    every = map(settings.get, settings.names())
    known = list(dict.fromkeys(name for setting in every for name in setting.sources))
    if options.name not in known:
        raise unknown("data set", options.name, known)
    print(sources.download(options.name))
    return 0
