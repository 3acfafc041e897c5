"""Refuses a runtime whose directories contain a module with the name of another runtime's module.

The runtimes of a worker share one sys.modules, which holds one module for a name. Code imports at
any time (in functions, in threads, by pickle), so the second module cannot be imported reliably.
"""

import importlib.machinery
import os
import sys
import threading
import types

from .failure import Error

_SUFFIXES = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)
# Many projects have them, and no runtime imports them.
_FOR_DEVELOPERS = {"conftest", "noxfile", "setup", "test", "tests"}
# Directories without an __init__ form one package; depth of their comparison.
_MAX_DEPTH = 8
_STANDARD = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep

_lock = threading.Lock()
_projects = []
# Entries of sys.path that projects, and nobody else, have added.
_added = set()


def is_installed(file):
    """Whether the file is part of Python, nffi or an installed package."""
    return file.startswith((_OURS, _STANDARD)) or any(part in file for part in _INSTALLED)


class Project:
    """The directories with modules of one runtime in the worker."""

    def __init__(self, settings):
        self._settings = settings
        file = settings.file
        self.directories = [os.path.dirname(file)] if file else list(settings.path)

    def enter(self):
        """Call it before each load. Raises Error if another runtime has a module of the same
        name."""
        with _lock:
            others = [project for project in _projects if project is not self]
            for other in others:
                for directory in self.directories:
                    for theirs in other.directories:
                        self._compare(directory, theirs, other._settings.module)
            if others:
                self._compare_with_imported()
            if self not in _projects:
                _projects.append(self)
            _added.update(directory for directory in self.directories if directory not in sys.path)

    def leave(self):
        """Call it when the runtime has ended. Removes the modules that no other runtime shares."""
        with _lock:
            if self not in _projects:
                return
            _projects.remove(self)
            used = {directory for project in _projects for directory in project.directories}
            for directory in self.directories:
                if directory not in used:
                    _drop(directory)
                    if directory in _added and directory in sys.path:
                        sys.path.remove(directory)
                    _added.discard(directory)

    def _compare(self, directory, theirs, owner, prefix="", depth=0):
        if _is_same(directory, theirs) or depth == _MAX_DEPTH:
            return
        mine, other = _modules_in(directory), _modules_in(theirs)
        for name in sorted(mine.keys() & other.keys()):
            (path, is_module), (other_path, other_is_module) = mine[name], other[name]
            if is_module and other_is_module:
                if not _is_same(path, other_path):
                    raise self._conflict(prefix + name, path, f"{other_path} of {owner}")
            elif not is_module and not other_is_module:
                self._compare(path, other_path, owner, f"{prefix}{name}.", depth + 1)

    def _compare_with_imported(self):
        """Finds modules that another runtime has imported from entries that it added to
        sys.path."""
        for directory in self.directories:
            for name, (path, is_module) in _modules_in(directory).items():
                module = sys.modules.get(name)
                file = getattr(module, "__file__", None)
                if not is_module or not isinstance(file, str) or _is_below(file, self.directories):
                    continue
                if file.startswith((_STANDARD, _OURS)) and not any(p in file for p in _INSTALLED):
                    continue
                if not _is_same(path, file):
                    raise self._conflict(name, path, f"{file}, which is imported already")

    def _conflict(self, name, path, other):
        return Error(
            f"{self._settings.module}: two modules named {name}: {path} and {other}. The runtimes "
            "of a worker share one interpreter, which holds one module for a name. Rename one of "
            'them, or load one of the runtimes with host = "process"'
        )


def _modules_in(directory):
    """{name: (path, is_module)}. A directory without an __init__ is not a module."""
    found = {}
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return found
    for entry in entries:
        suffix = next((suffix for suffix in _SUFFIXES if entry.name.endswith(suffix)), "")
        name = entry.name[: len(entry.name) - len(suffix)]
        if not name.isidentifier() or name.startswith("__") or name in _FOR_DEVELOPERS:
            continue
        if suffix:
            found[name] = (entry.path, True)
        elif entry.is_dir():
            init = _init_of(entry.path)
            # a package takes precedence over a module of the same name
            if init is not None or name not in found:
                found[name] = (init or entry.path, init is not None)
    return found


def _init_of(directory):
    for suffix in _SUFFIXES:
        path = os.path.join(directory, "__init__" + suffix)
        if os.path.exists(path):
            return path
    return None


def _is_same(path, other):
    try:
        return path == other or os.path.samefile(path, other)
    except OSError:
        return False


def _is_below(file, directories):
    return any(file.startswith(os.path.join(directory, "")) for directory in directories)


def _drop(directory):
    """Removes the modules that this entry of sys.path has provided."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(module, types.ModuleType) or not isinstance(file, str):
            continue
        if _is_below(file, [directory]) and not is_installed(file):
            first = os.path.relpath(file, directory).split(os.sep)[0]
            if first.partition(".")[0] == name.partition(".")[0]:
                sys.modules.pop(name, None)
