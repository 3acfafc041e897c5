"""Which runtime, and which call of it, the code that runs now belongs to.

A function that is called by the extension itself is known to it (``_nffi.current()``); what it
hands on, to the event loop or to another thread, carries the two variables of this file.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import _nffi

#: The Runtime.
runtime = ContextVar("nffi_runtime")

#: The handle of the task, 0: none.
task = ContextVar("nffi_task", default=0)


def current_task():
    return _nffi.current() or task.get()


def config() -> Any:
    """What ``nffi.load()`` was given as ``config``: for the module while it is loaded, and for the
    functions it defines. Raises RuntimeError elsewhere."""
    try:
        return runtime.get().settings.config
    except LookupError:
        raise RuntimeError("nffi.config() is for code that a runtime of nginx runs") from None
