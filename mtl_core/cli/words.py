"""The line on a terminal that shows how far a command is."""

import sys
import time

__all__ = ["progress", "progress_ends"]


def progress(done: int, total: int, started: float) -> None:
    """Show progress in one line, where there is a terminal.

    Args:
        started: what ``time.monotonic`` said then.
    """
    if not sys.stderr.isatty():
        return
    spent = time.monotonic() - started
    left = spent * (total - done) / max(done, 1)
    print(f"\r{done / total:4.0%}  {left:5.0f} s left", end="", file=sys.stderr, flush=True)


def progress_ends() -> None:
    """End the line of progress."""
    if sys.stderr.isatty():
        print(file=sys.stderr)
