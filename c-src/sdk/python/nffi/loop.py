"""Serves by an event loop of asyncio: the queue's descriptor says that there is something to take,
and one look takes all of it. An ``async def`` function becomes one task of the loop, without a
coroutine around it; plain functions run in threads."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import _nffi

from . import codes, scope, streams
from .plan import ASYNC

# Seconds between two checks for cancellations after the end of the queue, whose descriptor reports
# nothing then.
_CLOSED_TICK = 0.02
# The same for a thread that waits for a reader of its stream.
_CREDIT_TICK = 1.0
# Seconds in which no waiting call gets a thread, then that is logged.
_STALL = 5
# Seconds that tasks of the module's own may take in the end to be cancelled.
_TIDY_SECONDS = 1


class Loop:
    def __init__(self, runtime, cell):
        self._runtime = runtime
        self._cell = cell
        self._loop = asyncio.new_event_loop()
        self._fd = -1
        self._tasks = {}
        self._waiting = {}
        self._running = 0
        self._ended = False
        # whether the pool has a thread, and whether one could not be started
        self._has_thread = False
        self._has_less = False
        # calls that a thread has begun, and the next look whether there is one more
        self._begun = 0
        self._look = None
        self._is_stalled = False
        self._threads = ThreadPoolExecutor(
            runtime.settings.threads, thread_name_prefix=f"nffi-{runtime.settings.module}"
        )

    def run(self):
        """thread: the event loop, until the queue has ended and every call has its response."""
        asyncio.set_event_loop(self._loop)
        self._fd = _nffi.fd(self._runtime.queue)
        self._loop.add_reader(self._fd, self._on_ready)
        self._loop.call_soon(self._on_ready)
        while not self._ended or self._running:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # an exception of a task, which is also its result
                pass
        self._threads.shutdown(wait=False)
        self._tidy_up()
        # until here the queue takes what the module logs at its end
        _nffi.release_fd(self._runtime.queue)

    def _tidy_up(self):
        """What the module has begun beside its calls is ended as asyncio.run() does it, in bounded
        time."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        try:
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=_TIDY_SECONDS))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        except (SystemExit, KeyboardInterrupt):
            # of one of them: this is the end already
            pass
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    def _on_ready(self):
        queue = self._runtime.queue
        for task in _nffi.take_cancelled(queue):
            self._runtime.cancellations.cancel(task)
            running = self._tasks.get(task)
            if running is not None:
                running.cancel()
        for task in _nffi.take_writable(queue):
            wake = self._waiting.pop(task, None)
            if wake is not None:
                wake()
        if self._ended:
            if self._running:
                self._loop.call_later(_CLOSED_TICK, self._on_ready)
            else:
                self._loop.stop()
            return
        more = _nffi.run_tasks(queue, self._cell)
        if more is None:
            self._ended = True
            self._loop.remove_reader(self._fd)
            self._loop.call_soon(self._on_ready)
        elif more:
            self._loop.call_soon(self._on_ready)

    # thread: the event loop; called by the extension

    def begin(self, task, entry, argument):
        self._running += 1
        if not entry[1] & ASYNC:
            # with the variables of this context, which no other call shares
            context = contextvars.copy_context()
            context.run(scope.task.set, task)
            self._submit(context, task, entry, argument)
            return
        token = scope.task.set(task)
        try:
            result = self._runtime.call(task, entry, argument)
            if hasattr(result, "__anext__"):
                result = streams.serve_async(task, entry[1], result, self._room_async)
                entry = (None, entry[1])
            # the coroutine of the user itself is the task
            self._start(task, entry, result)
        except BaseException as error:
            self._fail(task, error)
        finally:
            scope.task.reset(token)

    def _submit(self, context, task, entry, argument):
        dropped = threading.Event()
        try:
            self._threads.submit(context.run, self._call, dropped, task, entry, argument)
        except RuntimeError as error:
            # no thread could be started for it, but it is in the pool's list
            if not self._has_less:
                self._has_less = True
                self._runtime.miss_threads(error)
            if not self._has_thread:
                # where no thread would find it
                dropped.set()
                self._fail(task, error)
        else:
            self._has_thread = True
            if self._look is None and self._threads._work_queue.qsize():
                self._look = self._loop.call_later(_STALL, self._look_for_stall, self._begun)

    def _look_for_stall(self, begun):
        """The queue sees no stall of the pool, whose calls were taken from it."""
        waiting = self._threads._work_queue.qsize()
        is_stalled = waiting > 0 and self._begun == begun
        if is_stalled and not self._is_stalled:
            self._runtime.report_stall(waiting, _STALL)
        self._is_stalled = is_stalled
        self._look = None
        if waiting:
            self._look = self._loop.call_later(_STALL, self._look_for_stall, self._begun)

    def _start(self, task, entry, coroutine):
        running = self._loop.create_task(coroutine)
        self._tasks[task] = running
        running.add_done_callback(lambda done: self._done(task, entry, done))

    def _done(self, task, entry, running):
        self._tasks.pop(task, None)
        try:
            result = running.result()
            if entry[0] is not None:
                if hasattr(result, "__anext__"):
                    stream = streams.serve_async(task, entry[1], result, self._room_async)
                    self._start(task, (None, entry[1]), stream)
                    return
                self._runtime.respond(task, self._runtime.encode(entry, result))
        except BaseException as error:
            # CancelledError: the call was cancelled, or the function has cancelled itself
            self._fail(task, error)
        else:
            self._end(task)

    def _fail(self, task, error):
        try:
            self._runtime.fail(task, error)
        finally:
            self._end(task)

    def _end(self, task):
        self._running -= 1
        self._runtime.cancellations.forget(task)

    # thread: one of the pool

    def _call(self, dropped, task, entry, argument):
        self._begun += 1
        if dropped.is_set():
            return
        try:
            if _nffi.cancelled(task):
                # cancelled while it waited for a thread; a cancelled call must not delay the others
                raise asyncio.CancelledError
            self._runtime.finish(task, entry, self._runtime.call(task, entry, argument))
        except BaseException as error:
            self._runtime.fail(task, error)
        finally:
            self._loop.call_soon_threadsafe(self._end, task)

    def room(self, task):
        while True:
            credit = threading.Event()
            self._waiting[task] = credit.set
            # a note that arrived before this call waited for it is lost
            code = _nffi.stream_wait(task, 0)
            if code != codes.WOULD_BLOCK:
                self._waiting.pop(task, None)
                return code == codes.OK
            credit.wait(_CREDIT_TICK)

    # thread: the event loop

    async def _room_async(self, task):
        while True:
            credit = self._loop.create_future()
            self._waiting[task] = lambda future=credit: future.done() or future.set_result(None)
            code = _nffi.stream_wait(task, 0)
            if code != codes.WOULD_BLOCK:
                self._waiting.pop(task, None)
                return code == codes.OK
            await credit
