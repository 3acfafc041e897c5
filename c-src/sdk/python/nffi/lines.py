"""sys.stdout and sys.stderr in the worker: text streams that pass on complete lines.

The runtimes of a worker share the two, so close() and detach() leave them open.
"""

import codecs
import io
import threading

# Characters of a line that has no end: a progress bar, which goes back by "\r", never has one.
_MAX_REST = 8192


class Lines(io.TextIOBase):
    """`write(level, text)` logs a line. An incomplete line is kept for each thread, since print()
    writes a line in pieces and a line belongs to the call of its thread."""

    def __init__(self, level, write, name, descriptor):
        self._level = level
        self._write_line = write
        self._own = threading.local()
        self._descriptor = descriptor
        self._encoding = "utf-8"
        self._errors = "backslashreplace"
        self._line_buffering = True
        self._write_through = False
        self._buffer = _Bytes(self)
        self.name = name
        self.mode = "w"

    @property
    def buffer(self):
        """A binary stream. It decodes bytes in the encoding of this stream and logs them as
        text."""
        return self._buffer

    @property
    def encoding(self):
        return self._encoding

    @property
    def errors(self):
        return self._errors

    @property
    def line_buffering(self):
        return self._line_buffering

    @property
    def write_through(self):
        return self._write_through

    def reconfigure(
        self, *, encoding=None, errors=None, newline=None, line_buffering=None, write_through=None
    ):
        """As io.TextIOWrapper.reconfigure(). The encoding applies to `buffer`. A line is logged at
        its end with every buffering mode."""
        if newline not in (None, "", "\n", "\r", "\r\n"):
            raise ValueError(f"illegal newline value: {newline!r}")
        if encoding is not None:
            codecs.lookup(encoding)
            self._encoding = encoding
            self._errors = errors or "strict"
        elif errors is not None:
            codecs.lookup_error(errors)
            self._errors = errors
        if line_buffering is not None:
            self._line_buffering = bool(line_buffering)
        if write_through is not None:
            self._write_through = bool(write_through)

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self._descriptor

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        whole, newline, rest = text.rpartition("\n")
        pieces, size = getattr(self._own, "rest", None) or ([], 0)
        if newline:
            pieces.append(whole)
            self._write_line(self._level, "".join(pieces))
            pieces, size = [], 0
        if rest:
            pieces.append(rest)
            size += len(rest)
        if size > _MAX_REST:
            self._write_line(self._level, "".join(pieces))
            pieces, size = [], 0
        self._own.rest = (pieces, size)
        return len(text)

    def flush(self):
        pass

    def close(self):
        pass

    def detach(self):
        return self._buffer


class _Bytes(io.BufferedIOBase):
    """The `buffer` of a stream. Each thread has a decoder: a write may end within a character."""

    def __init__(self, lines):
        self._lines = lines
        self._own = threading.local()

    @property
    def name(self):
        return self._lines.name

    @property
    def mode(self):
        return "wb"

    @property
    def raw(self):
        return self

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self._lines.fileno()

    def write(self, data):
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        with memoryview(data) as view:
            self._lines.write(self._decoder().decode(bytes(view)))
            return view.nbytes

    def _decoder(self):
        encoding, decoder = getattr(self._own, "decoder", (None, None))
        if encoding != self._lines.encoding:
            encoding = self._lines.encoding
            # undecodable bytes must not be lost
            decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
            self._own.decoder = (encoding, decoder)
        return decoder

    def flush(self):
        pass

    def close(self):
        pass

    def detach(self):
        return self
