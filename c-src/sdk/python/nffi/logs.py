"""print, sys.stderr, logging and warnings arrive in error.log, with levels.

Lines of a call go through the queue and carry the request. Lines that belong to no call take the
same way in the worker; in a process they are written to stdout or stderr, each with a mark that
the worker recognises.
"""

import logging
import os
import sys
import time

from . import codes, scope
from .context import write_log
from .lines import Lines

_NAMES = {
    codes.ERROR: "error",
    codes.WARN: "warn",
    codes.NOTICE: "notice",
    codes.INFO: "info",
    codes.DEBUG: "debug",
}


def mark_lines(level, text):
    mark = f"\x01{_NAMES[level]}\x02"
    return "".join(f"{mark}{line}\n" for line in text.splitlines() or [""])


def _mark_stack(stack):
    """The mark with which the worker recognises a stack that the previous process logged."""
    if not stack:
        return ""
    import hashlib

    name = hashlib.sha256(stack.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    pid = os.getpid()
    return "".join(f"\x01stack {name} {pid}\x02{line}\n" for line in stack.splitlines())


def log_now(level, text, stack=""):
    """Writes to error.log synchronously, as the last lines of a process must be. The pipe may be
    full: then this waits for the worker, for a limited time."""
    data = (mark_lines(level, text) + _mark_stack(stack)).encode("utf-8", "backslashreplace")
    for _ in range(100):
        try:
            data = data[os.write(2, data) :]
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:
            return
        if not data:
            return


def log_to_process(level, text):
    log_now(level, text)


class WorkerLog:
    """Where lines that belong to no call go: to the newest runtime, unless the code has its own."""

    def __init__(self):
        self.queue = None

    def __call__(self, level, text):
        runtime = scope.runtime.get(None)
        queue = runtime.queue if runtime is not None else self.queue
        if queue is not None:
            write_log(queue, 0, level, text)


class _Handler(logging.Handler):
    def __init__(self, write):
        super().__init__()
        self._write = write

    def emit(self, record):
        try:
            text = self.format(record)
            if record.name not in ("root", "py.warnings"):
                text = f"{record.name}: {text}"
            task = scope.current_task()
            if task:
                write_log(scope.runtime.get().queue, task, _level_of(record.levelno), text)
            else:
                self._write(_level_of(record.levelno), text)
        except Exception:
            self.handleError(record)


def _level_of(number):
    if number >= logging.ERROR:
        return codes.ERROR
    if number >= logging.WARNING:
        return codes.WARN
    return codes.INFO if number >= logging.INFO else codes.DEBUG


def install(write, replace_streams):
    """`write(level, text)` takes what belongs to no call."""

    def print_lines(level, text):
        task = scope.current_task()
        runtime = scope.runtime.get(None)
        if task and runtime is not None:
            write_log(runtime.queue, task, level, text)
        else:
            write(level, text)

    if replace_streams:
        sys.stdout = sys.__stdout__ = Lines(codes.NOTICE, print_lines, "<stdout>", 1)
        sys.stderr = sys.__stderr__ = Lines(codes.ERROR, print_lines, "<stderr>", 2)
    else:
        # unmarked lines: nginx logs stdout as notice, stderr as error
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    root = logging.getLogger()
    root.addHandler(_Handler(write))
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
