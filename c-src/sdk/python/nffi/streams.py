"""Responses in chunks: what a generator yields is written one by one, and the next is not requested
before the reader has room for it. For a plain call, libnffi collects the chunks into one
response."""

import _nffi

from . import codes
from .codec import dumps, raw_bytes
from .failure import Error
from .plan import JSON


class _Bytes:
    """Chunks are the bytes of the values."""

    chunk = staticmethod(raw_bytes)
    end = None


class _Lines(_Bytes):
    """Each value of a stream is one line of JSON."""

    @staticmethod
    def chunk(value):
        return dumps(value) + b"\n"


class _List:
    """A plain call gets one list of the values."""

    def __init__(self):
        self._separator = b"["

    def chunk(self, value):
        chunk = self._separator + dumps(value)
        self._separator = b","
        return chunk

    @property
    def end(self):
        return b"[]" if self._separator == b"[" else b"]"


def _framing(task, flags):
    if not flags & JSON:
        return _Bytes
    return _Lines if _nffi.is_stream(task) else _List()


def _write(task, chunk):
    """False: the stream is cancelled."""
    code = _nffi.stream_write(task, chunk)
    if code in (codes.CANCELLED, codes.STALE, codes.CLOSED):
        return False
    if code != codes.OK:
        raise Error(f"the chunk cannot be sent: {_nffi.error_text(code)}")
    return True


def _end(task, framing):
    if framing.end is not None:
        _write(task, framing.end)
    code = _nffi.stream_end(task)
    if code not in (codes.OK, codes.STALE, codes.CLOSED):
        raise Error(f"the response cannot be sent: {_nffi.error_text(code)}")


def serve(task, flags, iterator, room):
    """Responds with the values of `iterator`. `room(task)` waits until a chunk may be written;
    False: the stream is cancelled. Raises the exceptions of the iterator: the call then still
    needs a response."""
    framing = _framing(task, flags)
    while room(task):
        try:
            value = next(iterator)
        except StopIteration:
            break
        if not _write(task, framing.chunk(value)):
            _close(iterator)
            break
    else:
        _close(iterator)
    _end(task, framing)


def _close(iterator):
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


async def serve_async(task, flags, iterator, room):
    """The same for an async generator; `room` is a coroutine function."""
    framing = _framing(task, flags)
    try:
        while await room(task):
            try:
                value = await iterator.__anext__()
            except StopAsyncIteration:
                break
            if not _write(task, framing.chunk(value)):
                break
        _end(task, framing)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
