"""A runtime that is a process of the worker: attaches, loads the module, serves, ends."""

import atexit
import os
import signal
import sys
import threading
import traceback

import _nffi

from . import codes, logs
from .failure import describe, in_one_line, message_of
from .runtime import Runtime
from .settings import parse

_EXIT_LOAD_FAILED = 1


def main():
    # asyncio.run() replaces a default_int_handler, and restores that one afterwards
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    queue = _nffi.attach()
    if queue < 0:
        reason = _nffi.error_text(queue)
        if queue == codes.NOT_A_PROCESS:
            reason += ": this program is started by nginx, nffi.load(\"python\")"
        print(reason, file=sys.stderr)
        sys.exit(2)
    logs.install(logs.log_to_process, replace_streams=False)
    ending = _Ending(queue)
    try:
        settings = parse(_nffi.config(queue) or b"")
        ending.module = settings.module
        runtime = Runtime(queue, settings, ending.exit_requested)
        runtime.load()
    except BaseException as error:
        ending.load_failed(error)
    if _nffi.attach_ready(queue) != codes.OK:
        os._exit(_EXIT_LOAD_FAILED)
    runtime.serve()
    ending.finished()


class _Ending:
    """How this process ends; each way through os._exit(), since threads of the module must not keep
    it, after what the module has registered with atexit."""

    def __init__(self, queue):
        self._queue = queue
        self._lock = threading.Lock()
        self.module = "the runtime"

    def load_failed(self, error):
        message, detail = describe(error)
        reason = in_one_line(message.decode())
        named = reason if self.module in reason else f"{self.module}: {reason}"
        _nffi.attach_failed(self._queue, named.encode())
        # the line of the log names the module itself
        logs.log_now(codes.ERROR, reason, detail.decode())
        os._exit(_EXIT_LOAD_FAILED)

    def exit_requested(self, error):
        """A function has raised SystemExit: the worker fails the calls that run and starts the
        process again. Of several threads that do this the first one decides."""
        self._lock.acquire()
        try:
            code = error.code
            number = 0 if code is None else int(code) & 0xFF if isinstance(code, int) else 1
            has_text = code is not None and not isinstance(code, int)
        except BaseException:
            # an attribute of a subclass of SystemExit
            number, has_text = 1, True
        callers = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
        what = f"ended its process with exit code {number}"
        if has_text:
            what += f": {in_one_line(message_of(error))}"
        logs.log_now(codes.ERROR, what, callers)
        self._exit(number)

    def finished(self):
        self._exit(0)

    def _exit(self, code):
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:
            logs.log_now(codes.ERROR, f"at exit: {message_of(error)}")
        finally:
            os._exit(code)
