"""Functions that are called when a call is cancelled."""

import contextvars
import logging
import threading
import time

import _nffi

from . import scope
from .failure import detail_of, message_of

# Seconds between two checks of the calls that have such functions.
_TICK = 0.02

_RUNNING, _CANCELLED = 0, 1


class Cancellations:
    """Of one runtime. Where an event loop takes the notes of the queue, it calls `cancel` and
    `forget`; otherwise a thread checks the calls, while there are any."""

    def __init__(self):
        self.has_loop = False
        self._lock = threading.Lock()
        self._actions = {}
        self._thread = None

    def add(self, task, action):
        """Calls the function when the call is cancelled, now if it is already. Returns a function
        that unregisters it."""
        context = contextvars.copy_context()
        context.run(scope.task.set, task)
        entry = (context, action)
        with self._lock:
            state = _nffi.cancelled(task)
            if state == _RUNNING:
                self._check_soon()
                self._actions.setdefault(task, []).append(entry)
        if state == _CANCELLED:
            _run(entry)
        return lambda: self._remove(task, entry)

    def cancel(self, task):
        with self._lock:
            due = self._actions.pop(task, ())
        for entry in due:
            _run(entry)

    def forget(self, task):
        """The call has its response."""
        if self._actions:
            with self._lock:
                self._actions.pop(task, None)

    def _remove(self, task, entry):
        with self._lock:
            entries = self._actions.get(task, [])
            if entry in entries:
                entries.remove(entry)

    def _check_soon(self):
        if self._thread is None and not self.has_loop:
            thread = threading.Thread(target=self._check, name="nffi-cancel", daemon=True)
            # the system may have none: then the next call that asks tries again
            thread.start()
            self._thread = thread

    # thread: its own

    def _check(self):
        more = True
        while more:
            time.sleep(_TICK)
            with self._lock:
                states = {task: _nffi.cancelled(task) for task in self._actions}
                ended = [task for task, state in states.items() if state != _RUNNING]
                actions = {task: self._actions.pop(task) for task in ended}
                more = bool(self._actions)
                if not more:
                    self._thread = None
            for task in ended:
                if states[task] == _CANCELLED:
                    for entry in actions[task]:
                        _run(entry)


def _run(entry):
    """Raises nothing: actions of other calls follow."""
    context, action = entry
    try:
        # a context that is entered already cannot be entered again: of a recursion
        context.copy().run(action)
    except BaseException as error:
        text = f"an action on cancellation failed: {message_of(error)}\n{detail_of(error)}"
        try:
            context.copy().run(_log.error, "%s", text)
        except BaseException:
            # a filter of the module's logging, say
            pass


_log = logging.getLogger("nffi")
