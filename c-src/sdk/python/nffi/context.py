"""The context of a call, for its function."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import _nffi

from . import codes
from .failure import encode

# Bytes of one message, as in nffi.h.
_MAX_BYTES = 2048


def write_log(queue, task, level, text):
    """Each line of a text as one message, or several where it is long. No character is cut."""
    for line in text.splitlines():
        if not line:
            continue
        data = encode(line)
        while len(data) > _MAX_BYTES:
            end = _MAX_BYTES
            while data[end] & 0xC0 == 0x80:
                end -= 1
            _nffi.log(queue, task, level, data[:end])
            data = data[end:]
        _nffi.log(queue, task, level, data)


class Log:
    """Lines for error.log that carry the request of the call; arguments as with logging."""

    __slots__ = ("_queue", "_task")

    def __init__(self, queue, task):
        self._queue = queue
        self._task = task

    def _write(self, level, message, args):
        write_log(self._queue, self._task, level, str(message) % args if args else str(message))

    def error(self, message: object, *args: object) -> None:
        self._write(codes.ERROR, message, args)

    def warn(self, message: object, *args: object) -> None:
        self._write(codes.WARN, message, args)

    def notice(self, message: object, *args: object) -> None:
        self._write(codes.NOTICE, message, args)

    def info(self, message: object, *args: object) -> None:
        self._write(codes.INFO, message, args)

    def debug(self, message: object, *args: object) -> None:
        self._write(codes.DEBUG, message, args)


class Context:
    """One call."""

    __slots__ = ("_deadline", "_log", "_method", "_runtime", "_task")

    def __init__(self, task, runtime):
        self._task = task
        self._runtime = runtime
        self._deadline = _nffi.deadline(task)
        self._log = None
        self._method = None

    @property
    def method(self) -> str:
        """The method that Lua called; empty for runtime:call(bytes)."""
        if self._method is None:
            self._method = _nffi.method(self._task)
        return self._method

    @property
    def config(self) -> Any:
        """The ``config`` of nffi.load()."""
        return self._runtime.settings.config

    @property
    def deadline(self) -> float | None:
        """The time at which the call times out, in seconds of time.monotonic(); None: never."""
        return self._deadline / 1e9 if self._deadline else None

    @property
    def time_left(self) -> float | None:
        """Seconds until the deadline, at least 0; None: there is none."""
        deadline = self.deadline
        return max(0.0, deadline - time.monotonic()) if deadline is not None else None

    @property
    def cancelled(self) -> bool:
        """True if the call was cancelled (client disconnected, Lua thread killed, timeout) or has
        its response."""
        return bool(_nffi.cancelled(self._task) != 0)

    def on_cancel(self, action: Callable[[], object]) -> Callable[[], None]:
        """Calls the function once when the call is cancelled, in another thread or in the event
        loop, or now if it is already cancelled; not after the response. It must not wait. The
        returned function unregisters it."""
        unregister: Callable[[], None] = self._runtime.cancellations.add(self._task, action)
        return unregister

    @property
    def log(self) -> Log:
        """Writes to nginx's error.log, with the client and the request of the call."""
        if self._log is None:
            self._log = Log(self._runtime.queue, self._task)
        return self._log
