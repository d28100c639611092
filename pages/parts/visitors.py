"""Visitors: who looks at the app, and what this server lets them do."""

import hashlib

import streamlit as st

from mtl_core.views.access import Access

__all__ = ["access", "may_upload", "shared", "visitor"]

_COOKIE = "_streamlit_xsrf"


def access() -> Access:
    """The rules of this server."""
    return Access.of()


def shared() -> bool:
    """Whether the server is open to strangers."""
    return access().shared


def may_upload() -> bool:
    """Whether a visitor may bring files."""
    return access().uploads


def visitor() -> str:
    """A name for the browser that looks, which tells nothing of it and which no other can guess.

    It follows from the token that the server gives every browser against forged requests. Empty
    where there is none.
    """
    token = _token(str(st.context.cookies.get(_COOKIE, "")).strip("\"'"))
    return hashlib.blake2b(token, digest_size=8).hexdigest() if token else ""


def _token(cookie: str) -> bytes:
    """What a cookie says; it says it under another mask each time."""
    try:
        version, mask, masked, _ = cookie.split("|")
        key, text = bytes.fromhex(mask), bytes.fromhex(masked)
    except ValueError:
        return b""
    if version != "2" or not key or len(text) < 16:
        return b""
    return bytes(byte ^ key[place % len(key)] for place, byte in enumerate(text))
