"""Visitors: who looks at the app, and what this server lets them do."""

import hashlib
import hmac
import secrets
import threading
import time

import streamlit as st

from mtl_core.views.access import Access

__all__ = ["access", "admitted", "may_upload", "shared", "visitor"]

PAUSE_SECONDS = 1.0
"""After a wrong password, for all who try one."""
STAY_SECONDS = 12 * 3600.0
"""How long a browser is known that has said the password."""
_MOST_KNOWN = 10_000
_COOKIE = "_streamlit_xsrf"
_ADMITTED, _TAB = "visitors_admitted", "visitors_tab"
_trying = threading.Lock()


def access() -> Access:
    """The rules of this server."""
    return Access.of()


def shared() -> bool:
    """Whether the server is open to strangers."""
    return access().shared


def may_upload() -> bool:
    """Whether a visitor may bring files."""
    return access().uploads


def admitted() -> bool:
    """Whether the visitor may see the app; asks for the password where there is one."""
    password, who = access().password, visitor()
    if not password or st.session_state.get(_ADMITTED):
        return True
    if time.monotonic() - _known().get(who, float("-inf")) < STAY_SECONDS:
        return True
    st.title("Multi-task transfer")
    with st.form("visitors_password", width=420):
        said = st.text_input("Password", type="password", max_chars=200)
        if not st.form_submit_button("Enter", type="primary"):
            return False
    right = _right(said, password)
    if right:
        _remember(who)
        st.rerun()
    if right is None:
        st.error("Too many try to enter just now; try again in a moment.")
    else:
        st.error("That is not the password; whoever runs this server knows it.")
    return False


def _remember(who: str) -> None:
    st.session_state[_ADMITTED] = True
    known = _known()
    known[who] = time.monotonic()
    while len(known) > _MOST_KNOWN:
        known.pop(next(iter(known)), None)


def _right(said: str, password: str) -> bool | None:
    """One try at a time, so that there are few; None where too many wait for theirs."""
    if not _trying.acquire(timeout=5 * PAUSE_SECONDS + 1):
        return None
    try:
        right = hmac.compare_digest(said.encode(), password.encode())
        if not right:
            time.sleep(PAUSE_SECONDS)
        return right
    finally:
        _trying.release()


@st.cache_resource(max_entries=1, show_spinner=False)
def _known() -> dict[str, float]:
    """Browsers that have said the password, and when."""
    return {}


def visitor() -> str:
    """A name for the browser that looks, which tells nothing of it and which no other can guess.

    It follows from the token that the server gives every browser against forged requests. Where
    there is none it is the tab's, and lasts as long.
    """
    token = _token(str(st.context.cookies.get(_COOKIE, "")).strip("\"'"))
    if not token:
        token = st.session_state.setdefault(_TAB, secrets.token_bytes(16))
    return hashlib.blake2b(token, digest_size=8).hexdigest()


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
