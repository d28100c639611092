"""The command line, one file per group of commands."""

from mtl_core.cli.main import main

__all__ = ["main"]
