"""The error that Lua gets for an exception: its message, and the traceback as detail."""

from __future__ import annotations

import os
import traceback

# Both go through memory that worker and process share.
_MESSAGE_LIMIT = 16_000
_DETAIL_LIMIT = 48_000

_OUR_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Error(Exception):
    """An error with a detail or a code. Lua gets ``nil, message, "runtime_error", detail``, or the
    code instead of the detail. Other exceptions arrive with the name of their class and with their
    traceback as detail."""

    def __init__(self, message: str = "", *, detail: str | None = None, code: int = 0) -> None:
        super().__init__(message)
        #: The fourth result in Lua; None: none.
        self.detail = detail
        #: A 32-bit number, the fourth result in Lua instead of the detail; 0: none.
        self.code = code


def message_of(error):
    if isinstance(error, Error):
        return str(error) or "Error"
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "its text is not readable"
    return f"{name}: {text}" if text else name


def detail_of(error):
    """The traceback with its causes, without our own frames at its beginning; of an Error its own
    detail."""
    if isinstance(error, Error):
        return error.detail or ""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
    except Exception:
        return ""


def encode(text):
    """UTF-8; a lone surrogate, which a file name may contain, is written as its number."""
    return text.encode("utf-8", "backslashreplace")


def describe(error):
    """Message and detail as bytes."""
    return encode(message_of(error)[:_MESSAGE_LIMIT]), encode(detail_of(error)[:_DETAIL_LIMIT])


def in_one_line(text):
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
