"""Uploads: what a browser has sent is let go of when it was taken in.

Streamlit keeps the bytes as long as the tab is open, and a while longer.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

__all__ = ["release"]


def release(files: Iterable[Any]) -> None:
    """Let uploaded files go; their widget shows none from now on."""
    context = get_script_run_ctx()
    if context is None:
        return
    manager: Any = context.uploaded_file_mgr
    with suppress(AttributeError):  # not promised by Streamlit; then it lets go later by itself
        for file in files:
            manager.remove_file(context.session_id, file.file_id)
