"""Answers in chunks: what a generator yields is written one by one, and the next is not asked for
before the reader has room for it. Where Lua only called, the chunks are collected into one
answer."""

import _nffi

from . import codes
from .codec import dumps, raw_bytes
from .failure import Error
from .plan import JSON

# Bytes that a call collects, as in nffi.h.
_MAX_COLLECTED = 64 * 1024 * 1024


def _encoder(flags):
    return dumps if flags & JSON else raw_bytes


def _framer(flags):
    """Of a stream: each value is one line of JSON."""
    return (lambda value: dumps(value) + b"\n") if flags & JSON else raw_bytes


class _Collected:
    """Collects the chunks of a plain call."""

    def __init__(self, flags):
        self._json = flags & JSON
        self._chunks = []
        self._size = 0

    def add(self, chunk):
        self._size += len(chunk) + 1
        if self._size > _MAX_COLLECTED:
            raise Error("a call collects at most 64 MiB of chunks; read them as a stream")
        self._chunks.append(chunk)

    def answer(self):
        if self._json:
            return b"[" + b",".join(self._chunks) + b"]"
        return b"".join(self._chunks)


def _write(task, chunk):
    """False: the stream is cancelled."""
    code = _nffi.stream_write(task, chunk)
    if code in (codes.CANCELLED, codes.STALE, codes.CLOSED):
        return False
    if code != codes.OK:
        raise Error(f"a chunk of {len(chunk)} bytes cannot be sent: {_nffi.error_text(code)}")
    return True


def serve(task, flags, iterator, room):
    """Responds with the values of `iterator`. `room(task)` waits until a chunk may be written;
    False: the stream is cancelled. Raises the exceptions of the iterator: the call then still
    needs a response."""
    encode = _encoder(flags)
    if not _nffi.is_stream(task):
        collected = _Collected(flags)
        for value in iterator:
            collected.add(encode(value))
            if _nffi.cancelled(task):
                _close(iterator)
                break
        return collected.answer()
    encode = _framer(flags)
    while room(task):
        try:
            value = next(iterator)
        except StopIteration:
            break
        if not _write(task, encode(value)):
            _close(iterator)
            break
    else:
        _close(iterator)
    _nffi.stream_end(task)
    return None


def _close(iterator):
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


async def serve_async(task, flags, iterator, room):
    """The same for an async generator; `room` is a coroutine function."""
    encode = _encoder(flags)
    try:
        if not _nffi.is_stream(task):
            collected = _Collected(flags)
            async for value in iterator:
                collected.add(encode(value))
            return collected.answer()
        encode = _framer(flags)
        while await room(task):
            try:
                value = await iterator.__anext__()
            except StopAsyncIteration:
                break
            if not _write(task, encode(value)):
                break
        _nffi.stream_end(task)
        return None
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
