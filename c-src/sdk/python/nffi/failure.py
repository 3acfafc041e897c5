"""The error that Lua gets for an exception: its message, and the traceback as detail. An exception
is code of the user, and so is each of its methods and attributes: nothing here raises."""

from __future__ import annotations

import operator
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


def _is_known(error):
    # isinstance() would ask the exception for its __class__
    return issubclass(type(error), Error)


def _text_of(value):
    """A str, not one of a subclass; None: it cannot be read."""
    try:
        return str.__str__(str(value))
    except BaseException:
        return None


def message_of(error):
    text = _text_of(error)
    if _is_known(error) and text is not None:
        return text or "Error"
    name = type.__dict__["__name__"].__get__(type(error))
    if text is None:
        text = "its text is not readable"
    return f"{name}: {text}" if text else name


def code_of(error):
    """The code of an Error; 0: it has none, or nothing that is a code."""
    try:
        code = operator.index(error.code) if _is_known(error) else 0
        return code if -(2**31) <= code < 2**31 else 0
    except BaseException:
        return 0


def detail_of(error):
    """The traceback with its causes, without our own frames at its beginning; nothing if only the
    message is left. Of an Error its own detail, or what it has as a code that is no 32-bit number.
    """
    if _is_known(error):
        return _own_detail_of(error)
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
        return "" if _is_message_of(error, text) else text
    except BaseException:
        return ""


def _is_message_of(error, text):
    """format_exception() also names the module of the class."""
    message = message_of(error).rstrip("\n")
    return text.endswith(message) and "\n" not in text[: len(text) - len(message)]


def _own_detail_of(error):
    try:
        for value in (error.detail, error.code):
            if value is not None and not (type(value) is int and value == 0):
                return _text_of(value) or ""
    except BaseException:
        pass
    return ""


def encode(text):
    """UTF-8; a lone surrogate, which a file name may contain, is written as its number."""
    return text.encode("utf-8", "backslashreplace")


def describe(error):
    """Message and detail as bytes."""
    return encode(message_of(error)[:_MESSAGE_LIMIT]), encode(detail_of(error)[:_DETAIL_LIMIT])


def in_one_line(text):
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
