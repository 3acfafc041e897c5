"""How a request becomes a value and a result becomes bytes. A result that would lose something on the
way is refused rather than sent."""

import dataclasses
import datetime
import enum
import json
import uuid

_decode = json.JSONDecoder().decode


def loads(text):
    try:
        return _decode(text)
    except ValueError as error:
        raise ValueError(f"the request is not JSON: {error}") from None


def _other(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # by reference: what is inside comes here again
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    is_bytes = isinstance(value, (bytes, bytearray, memoryview))
    if not is_bytes and callable(getattr(value, "tolist", None)):
        # numpy's numbers and arrays, columns of pandas
        return value.tolist()
    hint = ' (bytes want codec = "raw")' if is_bytes else ""
    raise TypeError(f"the result cannot become JSON: it has a {type(value).__name__}{hint}")


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other
).encode


def dumps(value):
    try:
        return _encode(value)
    except (ValueError, RecursionError) as error:
        raise TypeError(f"the result cannot become JSON: {error}") from None


def raw_bytes(value):
    """A result of a function that takes bytes."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"the result must be bytes or a str, but is a {type(value).__name__}")


def constructor(annotation):
    """What makes an argument of the value of a request: a dataclass is made of its fields."""
    if not (isinstance(annotation, type) and dataclasses.is_dataclass(annotation)):
        return None

    def construct(value):
        if not isinstance(value, dict):
            raise TypeError(f"the request must be an object, {annotation.__name__}")
        try:
            return annotation(**value)
        except TypeError as error:
            text = str(error).replace("__init__() ", "").replace(f"{annotation.__name__}.", "")
            raise TypeError(f"the request is no {annotation.__name__}: {text}") from None

    return construct
