"""One runtime: its queue, the functions that it serves, and the threads that call them.

Where all functions are plain ones, a group of threads takes calls from the queue and makes them in
the extension; this file has what is not the common case. With ``async def`` functions there is an
event loop (loop.py), and plain functions run in threads beside it.

asyncio is imported where it is needed: that takes as long as all other imports before a first call.
"""

import contextvars
import inspect
import logging
import threading
import time

import _nffi

from . import codes, module, scope, streams
from .cancellations import Cancellations
from .codec import dumps, raw_bytes
from .context import Context
from .failure import Error, code_of, describe
from .plan import BEGIN, CONTEXT, JSON, NO_ARGUMENT, RELOAD, Plan

# Seconds between two tries to load a module that cannot be loaded.
_FIRST_DELAY = 0.1
_LAST_DELAY = 30.0


class Runtime:
    def __init__(self, queue, settings, exit_process=None, project=None):
        """`exit_process(error)`: what a SystemExit of a function does; None: the call fails.
        `project`: its Project where others share the interpreter."""
        self.queue = queue
        self.settings = settings
        self.project = project
        self.cancellations = Cancellations()
        self._exit_process = exit_process
        self._cell = [None]
        self._plan = None
        self._loop = None
        self._reloading = threading.Lock()

    # Loading

    def load(self):
        """Raises what the module raises."""
        token = scope.runtime.set(self)
        try:
            if self.project is not None:
                self.project.enter()
            self._install(Plan(self.settings, module.load(self.settings), self))
        finally:
            scope.runtime.reset(token)

    def _install(self, plan):
        reload = (self._reload, BEGIN)
        self._plan = plan
        self._cell[0] = plan.as_tuple({RELOAD: reload})

    def watch(self):
        """As module.watch(), for the module that is served now."""
        return module.watch(self._plan.module)

    @property
    def handler(self):
        """The function that requests without a method are for."""
        return self._plan.unnamed[0]

    def load_until_closed(self, report):
        """Retries until it succeeds; calls that arrive in that time fail with the reason. False:
        the queue has ended. `report(error, delay, is_known)` is called for each step of the delay,
        in seconds, and for a new reason; `is_known`: the previous try failed for the same one."""
        delay, reported, known = _FIRST_DELAY, 0, None
        while True:
            try:
                self.load()
                return True
            except BaseException as error:
                reason = describe(error)
                if reason != known or delay != reported:
                    report(error, delay, reason == known)
                reported, known = delay, reason
                if not self.refuse(error, delay):
                    return False
                delay = min(delay * 2, _LAST_DELAY)

    def refuse(self, error, seconds=None):
        """Fails the calls that arrive in this time, None: until the end. False: the queue has
        ended."""
        message, detail = describe(error)
        name = self.settings.module if self.settings else "the configuration"
        if name.encode() not in message:
            message = name.encode() + b": " + message
        until = None if seconds is None else time.monotonic() + seconds
        left = -1
        while True:
            if until is not None:
                left = int((until - time.monotonic()) * 1000)
                if left <= 0:
                    return True
            task = _nffi.take(self.queue, left)
            if task is None:
                return False
            if task:
                _nffi.respond_error(task, message, detail)

    def _reload(self, task):
        def run():
            scope.runtime.set(self)
            try:
                with self._reloading:
                    if self.project is not None:
                        self.project.enter()
                    code = self.watch()
                    module.reload(self.settings, self._plan.module, self._replace)
                    module.collect_when_unused(code)
            except BaseException as error:
                message, detail = describe(error)
                _nffi.respond_error(task, message, detail)
            else:
                _nffi.respond(task, b"")

        try:
            threading.Thread(target=run, name="nffi-reload", daemon=True).start()
        except RuntimeError as error:
            _nffi.respond_error(task, *describe(error))

    def _replace(self, new):
        plan = Plan(self.settings, new, self)
        if plan.is_async != self._plan.is_async:
            raise Error(
                "functions that are async and that are not cannot take each other's place while "
                "they serve: reload nginx"
            )
        self._install(plan)

    # Serving

    def serve(self):
        """Until the queue has ended and every call was answered."""
        scope.runtime.set(self)
        if self._plan.is_async:
            from .loop import Loop

            self._loop = Loop(self, self._cell)
            self.cancellations.has_loop = True
            self._loop.run()
            return
        group = _nffi.group()
        # each has a copy of the variables of this one
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(_nffi.serve, self.queue, self._cell, group),
                name=f"nffi-{self.settings.module}-{number}",
                daemon=True,
            )
            for number in range(1, self.settings.threads)
        ]
        started = []
        for thread in threads:
            try:
                thread.start()
            except RuntimeError as error:
                self.miss_threads(error)
                break
            started.append(thread)
        _nffi.serve(self.queue, self._cell, group)
        for thread in started:
            thread.join()

    def miss_threads(self, error):
        """The system creates no more threads: the existing ones serve."""
        logging.getLogger("nffi").warning(
            "%s: %s: it is served by fewer threads than %d",
            self.settings.module,
            error,
            self.settings.threads,
        )

    def report_stall(self, waiting, seconds):
        """No thread was free for so long: all of them are at the same calls as before."""
        logging.getLogger("nffi").warning(
            "%s has begun no call for %d s: %d calls wait for one of its %d threads, which are "
            "busy; an endless loop, or calls that block?",
            self.settings.module,
            seconds,
            waiting,
            self.settings.threads,
        )

    # The extension calls these. Each responds to the call or starts it

    def context(self, task):
        return Context(task, self)

    def begin(self, task, entry, argument):
        if entry[0] == self._reload:
            self._reload(task)
        elif self._loop is not None:
            self._loop.begin(task, entry, argument)
        else:
            # an event loop for one call: the module was not async when it was loaded
            self.finish(task, entry, self.call(task, entry, argument))

    def call(self, task, entry, argument):
        """What the function of the entry returns, or raises."""
        function, flags = entry
        if flags & NO_ARGUMENT:
            return function()
        if flags & CONTEXT:
            return function(argument, Context(task, self))
        return function(argument)

    def finish(self, task, entry, result):
        """A result of a type that the extension does not know, from any thread except the event
        loop."""
        try:
            if inspect.isawaitable(result):
                result = _run(_awaited(result))
            if hasattr(result, "__anext__"):
                _run(streams.serve_async(task, entry[1], result, _room_async))
            elif hasattr(result, "__next__"):
                streams.serve(task, entry[1], result, self.room)
            else:
                self.respond(task, self.encode(entry, result))
        except BaseException as error:
            self.fail(task, error)

    def encode(self, entry, result):
        return dumps(result) if entry[1] & JSON else raw_bytes(result)

    def respond(self, task, data):
        code = _nffi.respond(task, data)
        if code not in (codes.OK, codes.STALE, codes.CLOSED):
            raise Error(f"the response cannot be sent: {_nffi.error_text(code)}")

    def fail(self, task, error):
        """Raises nothing, whatever was raised."""
        if issubclass(type(error), SystemExit) and self._exit_process is not None:
            self._exit_process(error)
        message, detail = describe(error)
        code = code_of(error)
        if code != 0:
            _nffi.respond_code(task, code, message)
            return
        if issubclass(type(error), SystemExit):
            message += b" (sys.exit() ends this call, not the worker)"
        _nffi.respond_error(task, message, detail)

    def unknown(self, task, name):
        names = ", ".join(self._plan.names) or "none"
        if name:
            text = f'unknown method "{name}" in {self.settings.module}; methods: {names}'
        else:
            text = (
                f'a request without a method needs a function "handle", or the option handler, in '
                f"{self.settings.module}; its methods are: {names}"
            )
        _nffi.respond_error(task, text.encode("utf-8", "backslashreplace"), b"")

    def room(self, task):
        """Waits until the stream has credit; False: the stream is cancelled."""
        if self._loop is not None:
            return self._loop.room(task)
        return _nffi.stream_wait(task, -1) == codes.OK


def _run(coroutine):
    """In an event loop of its own."""
    import asyncio

    return asyncio.run(coroutine)


async def _awaited(result):
    return await result


async def _room_async(task):
    code = _nffi.stream_wait(task, 0)
    if code == codes.WOULD_BLOCK:
        import asyncio

        loop = asyncio.get_running_loop()
        code = await loop.run_in_executor(None, _nffi.stream_wait, task, -1)
    return code == codes.OK
