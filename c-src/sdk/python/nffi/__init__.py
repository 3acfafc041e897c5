"""What a module that serves requests of nginx may use; it need not use anything.

Every public function of the module is a method for Lua. Its first parameter is the request, a
second one named ``context``, or without a default, is the :class:`Context` of the call::

    def hello(request):
        return {"greeting": f"hello {request['name']}"}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .context import Context, Log
from .failure import Error
from .scope import config

__all__ = ["Context", "Error", "Log", "config", "inline"]
__version__ = "0.1.0"


_Function = TypeVar("_Function", bound=Callable[..., Any])


def inline(function: _Function) -> _Function:
    """Marks a plain function that never waits: beside ``async def`` functions it is called on the
    event loop itself, which saves handing it to a thread. A generator waits for its reader: it has
    a thread all the same."""
    function.__nffi_inline__ = True  # type: ignore[attr-defined]
    return function
