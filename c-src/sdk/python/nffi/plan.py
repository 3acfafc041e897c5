"""The functions that requests can name, as the tuple that the extension calls them by (call.c)."""

import functools
import inspect
import typing

from .codec import constructor, dumps, loads

#: Flags of an entry, as in call.c; the last three are Python's own.
JSON, CONTEXT, NO_ARGUMENT, BEGIN, ASYNC, GENERATOR, INLINE = 1, 2, 4, 8, 16, 32, 64

#: The method with which Lua requests a reload.
RELOAD = "\0reload"


class Plan:
    """`runtime` handles the less common cases: begin, finish, fail, unknown."""

    def __init__(self, settings, module, runtime):
        self.module = module
        flags = JSON if settings.codec == "json" else 0
        functions = {} if settings.plain else public_functions(module)
        self.methods = {name: entry_of(function, flags) for name, function in functions.items()}
        self.unnamed = None
        handler = _find_handler(settings, module)
        if handler is not None:
            self.unnamed = entry_of(handler, 0)
        if not self.methods and self.unnamed is None:
            raise TypeError(
                f"{settings.module} has no function to call: define one whose name does not begin "
                "with an underscore"
            )
        entries = [*self.methods.values(), self.unnamed or (None, 0)]
        self.is_async = any(entry[1] & ASYNC for entry in entries)
        if self.is_async:
            # what may wait does it in a thread
            self.methods = {name: _off_the_loop(entry) for name, entry in self.methods.items()}
            self.unnamed = self.unnamed and _off_the_loop(self.unnamed)
        self._runtime = runtime
        self._any = self.unnamed if settings.plain else None

    @property
    def names(self):
        return sorted(self.methods)

    def as_tuple(self, extra):
        """`extra`: methods of this package."""
        runtime = self._runtime
        return (
            {**self.methods, **extra},
            self.unnamed,
            loads,
            dumps,
            runtime.context,
            runtime.begin,
            runtime.finish,
            runtime.fail,
            runtime.unknown,
            self._any,
        )


def public_functions(module):
    """The functions that the module defines, or lists in __all__."""
    if hasattr(module, "__all__"):
        named = {name: getattr(module, name) for name in module.__all__}
    else:
        named = {
            name: value
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        }
    return {
        name: value
        for name, value in named.items()
        if callable(value) and not inspect.isclass(value)
    }


def _find_handler(settings, module):
    name = settings.handler
    if name is None:
        handler = getattr(module, "handle", None)
        return handler if callable(handler) else None
    try:
        handler = functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        handler = None
    if not callable(handler):
        names = ", ".join(sorted(public_functions(module))) or "none"
        raise TypeError(f"unknown function {name!r} in {settings.module}; functions: {names}")
    return handler


def entry_of(function, flags):
    parameters = _positional(function)
    if not parameters:
        flags |= NO_ARGUMENT
    elif len(parameters) > 1 and _is_context(parameters[1]):
        flags |= CONTEXT
    plain = inspect.unwrap(function)
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        flags |= ASYNC | BEGIN
    if inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain):
        flags |= GENERATOR
    if getattr(function, "__nffi_inline__", False):
        flags |= INLINE
    construct = constructor(_annotation(function, parameters)) if flags & JSON else None
    if construct is not None:
        function = _constructing(function, construct)
    return (function, flags)


def _off_the_loop(entry):
    function, flags = entry
    # a generator waits for its reader, whatever it is marked
    inline = flags & INLINE and not flags & GENERATOR
    return entry if inline else (function, flags | BEGIN)


def _constructing(function, construct):
    def with_argument(value, *context):
        return function(construct(value), *context)

    return with_argument


def _positional(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # a C function without a signature: it gets the request
        return [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY)]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [parameter for parameter in parameters if parameter.kind in kinds]
    if not found and any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY)]
    return found


def _is_context(parameter):
    return parameter.name == "context" or parameter.default is inspect.Parameter.empty


def _annotation(function, parameters):
    if not parameters:
        return None
    try:
        return typing.get_type_hints(function).get(parameters[0].name)
    except Exception:
        return None
