"""Unit tests of a module without nginx: a real queue of libnffi, and calls that the test makes.

::

    with nffi.testing.Host("app.py", config={"prefix": "hi"}) as app:
        assert app.methods.hello({"name": "Ada"}) == {"greeting": "hi Ada"}
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import _nffi

from .runtime import Runtime
from .settings import Settings

_LIBRARY = os.path.join(
    os.path.dirname(os.path.abspath(_nffi.__file__)), "..", "lib", "libnffi_testhost.so"
)

_RESPONSE, _ERROR, _TIMEOUT, _CANCELLED = 0, 1, 2, 3


class CallError(Exception):
    """The error that Lua would get: ``code``, the message, ``detail`` (the number of a nffi.Error
    that has a code)."""

    def __init__(self, message: str, code: str, detail: str | int = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class _Response(ctypes.Structure):
    _fields_ = [
        ("end", ctypes.c_int),
        ("rc", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("detail", ctypes.c_void_p),
        ("detail_size", ctypes.c_size_t),
    ]


def _open():
    library = ctypes.CDLL(_LIBRARY)
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    number = ctypes.c_uint32
    out = ctypes.POINTER(pointer)
    library.nffi_testhost_create.argtypes = [out, number]
    library.nffi_testhost_queue.argtypes = [pointer]
    library.nffi_testhost_queue.restype = pointer
    library.nffi_testhost_close.argtypes = [pointer]
    library.nffi_testhost_close.restype = None
    library.nffi_testhost_call.argtypes = [pointer, text, size, text, size, number, out]
    library.nffi_testhost_stream.argtypes = [pointer, text, size, text, size, number, number, out]
    library.nffi_testhost_read.argtypes = [pointer, out, ctypes.POINTER(size)]
    library.nffi_testhost_wait.argtypes = [pointer, ctypes.POINTER(_Response)]
    library.nffi_testhost_wait.restype = None
    library.nffi_testhost_cancel.argtypes = [pointer]
    library.nffi_testhost_cancel.restype = None
    library.nffi_testhost_free.argtypes = [pointer]
    library.nffi_testhost_free.restype = None
    return library


_testhost = _open()


def _checked(code):
    if code != 0:
        raise RuntimeError(_nffi.error_text(code))


class Call:
    """One that is under way. `result()` waits for it."""

    def __init__(self, pointer, decode, is_stream):
        self._pointer = pointer
        self._decode = decode
        self._is_stream = is_stream

    def result(self) -> Any:
        """What the call returns. Raises CallError."""
        response = _Response()
        _testhost.nffi_testhost_wait(self._pointer, ctypes.byref(response))
        data = ctypes.string_at(response.data, response.size) if response.size else b""
        if response.end == _RESPONSE and response.rc == 0:
            return None if self._is_stream else self._decode(data)
        if response.end == _RESPONSE:
            raise CallError(data.decode(), "runtime_error", response.rc)
        if response.end == _ERROR:
            size = response.detail_size
            detail = ctypes.string_at(response.detail, size) if size else b""
            raise CallError(data.decode(), "runtime_error", detail.decode())
        code = {_TIMEOUT: "timeout", _CANCELLED: "cancelled"}.get(response.end, "protocol")
        raise CallError(data.decode() or code, code)

    def cancel(self) -> None:
        """Cancels the call, as a disconnected client does."""
        _testhost.nffi_testhost_cancel(self._pointer)

    def __iter__(self) -> Iterator[Any]:
        """The chunks of a stream. Raises CallError where it fails."""
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        chunk = (self._pointer, ctypes.byref(data), ctypes.byref(size))
        while _testhost.nffi_testhost_read(*chunk) == 1:
            yield self._decode(ctypes.string_at(data.value, size.value) if size.value else b"")
        self.result()

    def __del__(self):
        _testhost.nffi_testhost_free(self._pointer)


class _Names:
    """Every name is a method; `make` calls it."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda value=None, **options: self._make(name, value, **options)


class Host:
    """Serves a module in threads of this process. Arguments as the options of nffi.load()."""

    def __init__(
        self,
        module: str,
        *,
        handler: str | None = None,
        config: Any = None,
        codec: str = "json",
        path: Sequence[str] | None = None,
        threads: int = 0,
    ) -> None:
        host = ctypes.c_void_p()
        _checked(_testhost.nffi_testhost_create(ctypes.byref(host), 0))
        self._host = host
        is_file = module.endswith(".py") or "/" in module
        self._codec = codec
        self._runtime = Runtime(
            _testhost.nffi_testhost_queue(host),
            Settings(
                module=module,
                file=os.path.abspath(module) if is_file else None,
                handler=handler,
                codec=codec,
                config=config,
                path=[os.path.abspath(folder) for folder in path or [os.getcwd()]],
                threads=threads,
            ),
        )
        self._runtime.load()
        self._thread = threading.Thread(target=self._runtime.serve, name="nffi-test", daemon=True)
        self._thread.start()
        #: ``host.methods.hello(value, timeout=seconds)``: as ``rt.methods:hello()`` of Lua.
        self.methods = _Names(lambda *args, **options: self._method(*args, **options).result())
        #: The same as a Call that is under way.
        self.calls = _Names(self._method)
        #: ``for value in host.streams.count(3)``
        self.streams = _Names(lambda *args, **options: self._method(*args, stream=True, **options))

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Waits until every call is answered."""
        _testhost.nffi_testhost_close(self._host)
        self._thread.join()

    def call(self, data: bytes = b"", *, method: str = "", timeout: float | None = None) -> bytes:
        """As ``rt:call(bytes)`` of Lua."""
        response: bytes = self._start(method, data, timeout, bytes).result()
        return response

    def stream(
        self,
        data: bytes = b"",
        *,
        method: str = "",
        timeout: float | None = None,
        window: int = 0,
    ) -> Call:
        """As ``rt:stream(bytes)`` of Lua: a Call whose chunks are read."""
        return self._start(method, data, timeout, bytes, stream=True, window=window)

    def _method(self, name, value, timeout=None, stream=False, window=0):
        if self._codec == "raw":
            return self._start(name, value or b"", timeout, bytes, stream, window)
        return self._start(name, json.dumps(value).encode(), timeout, json.loads, stream, window)

    def _start(self, method, data, timeout, decode, stream=False, window=0):
        call = ctypes.c_void_p()
        name = method.encode()
        arguments = [self._host, name, len(name), data, len(data), int((timeout or 0) * 1000)]
        if stream:
            _checked(_testhost.nffi_testhost_stream(*arguments, window, ctypes.byref(call)))
        else:
            _checked(_testhost.nffi_testhost_call(*arguments, ctypes.byref(call)))
        return Call(call, decode, stream)


__all__ = ["Call", "CallError", "Host"]
