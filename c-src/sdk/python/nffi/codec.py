"""How a request becomes a value and a result becomes bytes. A result that would lose something on
the way is refused rather than sent."""

import codecs
import collections.abc
import dataclasses
import datetime
import enum
import json
import numbers
import os
import types
import typing
import uuid

_decode = json.JSONDecoder().decode

# Half of a surrogate pair is no UTF-8: it becomes U+FFFD, as in every other language.
_REPLACEMENT = "\ufffd".encode()
codecs.register_error(
    "nffi_replace", lambda error: (_REPLACEMENT * (error.end - error.start), error.end)
)


def loads(text):
    try:
        return _decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the request is not JSON: {error}") from None


def _other(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # by reference: what is inside comes here again
        return _fields(value)
    if isinstance(value, (datetime.date, datetime.time)):
        # not a time: pandas.NaT
        if value != value:
            raise TypeError(f"it has a {type(value).__name__} that is no time")
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    is_bytes = isinstance(value, (bytes, bytearray, memoryview))
    if not is_bytes and callable(getattr(value, "tolist", None)):
        # numpy's numbers and arrays, columns of pandas
        return value.tolist()
    hint = ': use codec = "raw" for bytes' if is_bytes else _hint(value)
    raise TypeError(f"it has a {type(value).__name__}{hint}")


def _hint(value):
    if isinstance(value, (set, frozenset, collections.abc.Iterator)):
        return ": use list()"
    if isinstance(value, collections.abc.Awaitable):
        if isinstance(value, types.CoroutineType):
            # no warning that it was never awaited
            value.close()
        return ": await it"
    if isinstance(value, os.PathLike):
        return ": use str()"
    if isinstance(value, numbers.Number) and not isinstance(value, complex):
        # Decimal, Fraction
        return ": use float() or str()"
    if isinstance(value, BaseException):
        return ": raise it, or return its message"
    return ""


def _fields(value):
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other
).encode


def dumps(value):
    """UTF-8 bytes. Raises TypeError, which names the path of what JSON does not have."""
    try:
        return _encode(value).encode("utf-8", "nffi_replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the result cannot become JSON: {error}{_place(value)}") from None


def _place(value):
    """Where in `value` is what cannot be encoded: " (at result.items[3])". For messages only."""
    path = ""
    while True:
        found = next((part for part in _parts(value) if not _is_encodable(part[1])), None)
        if found is None or len(path) > 200:
            return f" (at result{path})" if path else ""
        name, value = found
        path += name


def _parts(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = _fields(value)
    if isinstance(value, dict):
        return [(f".{name}", item) for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return []


def _is_encodable(value):
    try:
        _encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def raw_bytes(value):
    """A result of a function that takes bytes."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "nffi_replace")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"the result must be bytes or a str, but is a {type(value).__name__}")


# What a request becomes

_LISTS = {list: list, collections.abc.Sequence: list, collections.abc.Iterable: list}
_MAPS = (dict, collections.abc.Mapping)
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))


def constructor(annotation):
    """What makes an argument of the value of a request, or None where it stays as it is: a
    dataclass is made of its fields, also where it is a field, in a list or optional."""
    make = _maker(annotation, {})
    return make and (lambda value: make(value, "the request"))


def _inside(path):
    return path.removeprefix("the ")


def _maker(annotation, known):
    """A function of a value and its path, or None. `known`: of dataclasses, which may hold
    themselves."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        if annotation not in known:
            known[annotation] = _DataclassMaker(annotation)
            known[annotation].learn(known)
        return known[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS:
        return _union_maker(arguments, known)
    if origin in _LISTS or (origin is tuple and arguments[1:] == (...,)):
        make = _maker(arguments[0], known)
        return make and _list_maker(make, tuple if origin is tuple else list)
    if origin in _MAPS:
        make = _maker(arguments[1], known)
        return make and _map_maker(make)
    return None


class _DataclassMaker:
    def __init__(self, dataclass):
        self._dataclass = dataclass
        self._makers = {}

    def learn(self, known):
        try:
            hints = typing.get_type_hints(self._dataclass)
        except Exception:
            return
        for field in dataclasses.fields(self._dataclass):
            make = _maker(hints.get(field.name), known)
            if make is not None:
                self._makers[field.name] = make

    def __call__(self, value, path):
        name = self._dataclass.__name__
        if not isinstance(value, dict):
            raise TypeError(f"{path} must be an object, {name}")
        fields = dict(value)
        for field, make in self._makers.items():
            if field in fields:
                fields[field] = make(fields[field], f"{_inside(path)}.{field}")
        try:
            return self._dataclass(**fields)
        except TypeError as error:
            text = str(error).replace("__init__() ", "").replace(f"{name}.", "")
            raise TypeError(f"{path} is no {name}: {text}") from None


def _union_maker(members, known):
    """The first member that can be made is taken."""
    makers = [_maker(member, known) for member in members]
    if not any(makers):
        return None
    plain = tuple(kind for kind in members if kind in (type(None), str, int, float, bool))
    # other members, such as dict, take what no maker does
    takes_any = sum(make is None for make in makers) > len(plain)
    makers = [make for make in makers if make]

    def make(value, path):
        if isinstance(value, plain):
            return value
        failure = None
        for maker in makers:
            try:
                return maker(value, path)
            except TypeError as error:
                failure = failure or error
        if takes_any:
            return value
        raise failure

    return make


def _list_maker(make_item, collect):
    def make(value, path):
        if not isinstance(value, list):
            # Lua has one empty table, which is an object
            if value == {}:
                return collect()
            raise TypeError(f"{path} must be a list")
        return collect(make_item(item, f"{_inside(path)}[{i}]") for i, item in enumerate(value))

    return make


def _map_maker(make_item):
    def make(value, path):
        if not isinstance(value, dict):
            raise TypeError(f"{path} must be an object")
        return {name: make_item(item, f"{_inside(path)}.{name}") for name, item in value.items()}

    return make
