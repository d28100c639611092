"""The command line, one file per group of commands."""

from mtl_core.cli.main import command_line, front_line, main, parse_config, parse_front

__all__ = ["command_line", "front_line", "main", "parse_config", "parse_front"]
