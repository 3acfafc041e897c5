"""Loads and reloads the user's module.

The runtimes of a worker share one interpreter. Each has a separate module object, executed for
its configuration; the imports of the module are shared, as everywhere in Python.
"""

import gc
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
import time
import typing
import weakref

from .projects import is_installed

# Seconds until the second look for code that is still in use, and how many looks follow. Each
# pause is twice the one before it.
_FIRST_PAUSE = 0.1
_LOOKS = 10


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source each time: a .pyc differs from its source by seconds only, and a user may
    edit and reload a file faster."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load(settings):
    """The module, executed. Raises what it raises."""
    before = set(sys.modules)
    if settings.file is None:
        _add_folders(settings.path)
        spec = _spec_of_name(settings.module)
    else:
        # by its place before links: siblings are found beside the link
        _add_folders([os.path.dirname(settings.file)])
        name = os.path.splitext(os.path.basename(settings.file))[0]
        if not os.path.exists(settings.file):
            raise FileNotFoundError(f"{settings.file} not found")
        spec = importlib.util.spec_from_file_location(
            name, settings.file, loader=_FreshLoader(name, settings.file)
        )
    module = importlib.util.module_from_spec(spec)
    # where it is another's, that one keeps the name
    owned = sys.modules.setdefault(spec.name, module) is module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if owned:
            sys.modules.pop(spec.name, None)
        # the next try must read them again: one of them may be fixed by then
        for name in _names_of_project(settings):
            if name not in before:
                sys.modules.pop(name, None)
        raise
    return module


def reload(settings, old, install):
    """Calls `install` with the module, after importing the modules of the project's own directories
    again. If either fails, all previous modules are restored."""
    importlib.invalidate_caches()
    dropped = {name: sys.modules[name] for name in _names_of_project(settings)}
    if sys.modules.get(old.__name__) is old:
        dropped[old.__name__] = old
    for name in dropped:
        del sys.modules[name]
    try:
        install(load(settings))
    except BaseException:
        for name in _names_of_project(settings):
            sys.modules.pop(name, None)
        sys.modules.update(dropped)
        raise


class _Code:
    """An object in the namespace of a module: it lives as long as any code of the module."""


def watch(module):
    """Returns a weak reference that is dead when all code of the module has been freed."""
    code = _Code()
    vars(module)["__nffi_code__"] = code
    return weakref.ref(code)


def collect_when_unused(code):
    """Frees the code that a reload has replaced, later if a call of it still runs: for 100 s at
    most. `code`: from watch()."""
    collect()
    if code() is None:
        return
    try:
        threading.Thread(target=_keep_collecting, args=(code,), daemon=True).start()
    except RuntimeError:
        pass  # the interpreter collects by itself later


def _keep_collecting(code):
    pause = _FIRST_PAUSE
    for _ in range(_LOOKS):
        time.sleep(pause)
        collect()
        if code() is None:
            return
        pause *= 2


def collect():
    """Frees the code that a reload has replaced. Functions and their module refer to each other."""
    # typing caches the classes of annotations
    for clear in getattr(typing, "_cleanups", ()):
        clear()
    gc.collect()


def _spec_of_name(name):
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"no module named {name!r} in {', '.join(sys.path)}", name=name)
    if type(spec.loader) is importlib.machinery.SourceFileLoader:
        spec.loader = _FreshLoader(spec.name, spec.origin)
    return spec


def _add_folders(folders):
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _names_of_project(settings):
    return [name for name, module in list(sys.modules.items()) if _is_of_project(settings, module)]


def _is_of_project(settings, module):
    file = getattr(module, "__file__", None)
    if not file or is_installed(file):
        return False
    folders = [os.path.dirname(settings.file)] if settings.file else settings.path
    return any(file.startswith(os.path.join(folder, "")) for folder in folders)
