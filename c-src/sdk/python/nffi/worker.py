"""Runtimes that are hosted in an nginx worker: libnffi_python.so calls run() for each, in a
separate thread. Importing this prepares the interpreter."""

import contextvars
import inspect
import multiprocessing.context
import os
import sys
import threading

from . import codes, logs, module, scope
from .context import write_log
from .failure import Error, detail_of, in_one_line, message_of
from .projects import Project
from .runtime import Runtime
from .settings import parse

_log = logs.WorkerLog()
logs.install(_log, replace_streams=True)

# As in the interpreter itself: what a program finds there is no list of nginx's.
sys.argv = ["nffi"]


def _search_python_path():
    """The interpreter has not read its variables: a bad value of some would have ended the
    worker."""
    variable = os.environ.get("PYTHONPATH")
    folders = [os.path.abspath(folder) for folder in variable.split(os.pathsep)] if variable else []
    # behind the directory of this package
    sys.path[1:1] = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


_search_python_path()


def _spawn_by_default():
    """A fork would copy the worker of nginx with its sockets. set_start_method(), which may be
    called once, stays free for modules."""
    default = getattr(multiprocessing.context, "_default_context", None)
    spawn = getattr(multiprocessing.context, "_concrete_contexts", {}).get("spawn")
    if spawn is not None and hasattr(default, "_default_context"):
        default._default_context = spawn


_spawn_by_default()


def run(queue, config):
    """Until the queue has ended and every call was answered. `config`: bytes."""
    # the variables of this context refer to the runtime
    code = contextvars.copy_context().run(_run, queue, config)
    if code is not None:
        module.collect_when_unused(code)


def _run(queue, config):
    """Returns what module.watch() does, of the module that was served last; None for none."""
    _log.queue = queue
    runtime = Runtime(queue, None)
    try:
        runtime.settings = parse(config)
    except ValueError as error:
        runtime.refuse(Error(str(error)))
        return None
    runtime.project = Project(runtime.settings)
    threading.current_thread().name = f"nffi-{runtime.settings.module}"
    scope.runtime.set(runtime)
    code = None
    if runtime.load_until_closed(lambda *failed: _report_load(runtime, *failed)):
        if runtime.settings.plain and _serves_itself(runtime):
            # its threads run on
            return None
        runtime.serve()
        code = runtime.watch()
    runtime.project.leave()
    return code


def _report_load(runtime, error, delay, is_known):
    again = f"; it is loaded again in {round(delay * 1000)} ms"
    if is_known:
        text = f"cannot be loaded, for the same reason{again}"
        write_log(runtime.queue, 0, codes.ERROR, text)
    else:
        _report(runtime, error, again)


def _report(runtime, error, more=""):
    text = in_one_line(message_of(error))
    write_log(runtime.queue, 0, codes.ERROR, f"{text}{more}\n{detail_of(error)}".rstrip("\n"))


def _serves_itself(runtime):
    """The public ABI's own modules have ``init(cfg, tq)``: it starts a thread that polls the queue
    ``tq`` with the functions ngx_http_lua_ffi_* of the process."""
    handler = runtime.handler
    try:
        parameters = [
            parameter
            for parameter in inspect.signature(handler).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
    except (TypeError, ValueError):
        return False
    if len(parameters) != 2 or parameters[1].name in ("context", "ctx"):
        return False
    try:
        result = handler(runtime.settings.config, runtime.queue)
        if result:
            raise Error(f"{runtime.settings.handler}() returned {result}")
    except BaseException as error:
        _report(runtime, error)
        runtime.refuse(error)
    return True
