"""The settings of a runtime from nginx: which module to serve, and how.

JSON of ``nffi.load("python", ...)``, or of the older functions of the public ABI; those also
accept the text ``module,function,configuration``.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Optional


@dataclass
class Settings:
    #: As the user wrote it.
    module: str
    #: Absolute path, where it is a file.
    file: Optional[str] = None
    handler: Optional[str] = None
    codec: str = "json"
    config: Any = None
    #: Directories with modules.
    path: list[str] = field(default_factory=list)
    threads: int = 0
    #: The older form: one function for all calls, whatever they are named.
    plain: bool = False

    def __post_init__(self):
        if not self.threads:
            self.threads = min(32, (os.cpu_count() or 1) + 4)


def parse(data):
    """Raises ValueError with what is wrong. `data`: bytes."""
    text = data.decode()
    return _from_json(text) if text.lstrip()[:1] == "{" else _from_text(text)


def _from_json(text):
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the configuration is not a JSON object: {error}") from None
    module, path = given.get("module"), given.get("path")
    if not isinstance(module, str) or not module:
        raise ValueError('the configuration has no "module"')
    if path is None:
        path = [given["prefix"]] if isinstance(given.get("prefix"), str) else [os.getcwd()]
    elif isinstance(path, str):
        path = [path]
    codec = given.get("codec", "json")
    if codec not in ("json", "raw"):
        raise ValueError(f'codec must be "json" or "raw", but is {codec!r}')
    return Settings(
        module=module,
        file=given.get("file") or _file_of(module),
        handler=given.get("handler"),
        codec=codec,
        config=given.get("config"),
        path=path,
        threads=int(given.get("threads") or 0),
    )


def _from_text(text):
    module, _, rest = text.partition(",")
    function, _, config = rest.partition(",")
    if not module or not function:
        raise ValueError(
            f'the configuration must be JSON or "module,function,configuration", but is {text!r}'
        )
    return Settings(
        module=module.strip(),
        file=_file_of(module.strip()),
        handler=function.strip(),
        codec="raw",
        config=config,
        path=[os.getcwd()],
        plain=True,
    )


def _file_of(module):
    return os.path.abspath(module) if "/" in module or module.endswith(".py") else None
