"""The methods that Lua calls: each public function is one. Requests and responses are JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import nffi


@dataclass
class Hello:
    name: str


@dataclass
class Greeting:
    greeting: str


@dataclass
class Wait:
    ms: float


# It takes microseconds and never waits: without the decorator it would run in a separate thread.
@nffi.inline
def hello(request: Hello) -> Greeting:
    name = request.name.strip()
    if not name:
        raise nffi.Error("the name is empty")
    return Greeting(f"{nffi.config()['greeting']} {name}")


async def wait(request: Wait, context: nffi.Context) -> dict[str, float]:
    """Other calls run while it waits. It is cancelled when its client disconnects."""
    context.log.info("waits %s ms", request.ms)
    await asyncio.sleep(request.ms / 1000)
    return {"waited": request.ms}


async def ticks(count: int) -> AsyncIterator[int]:
    """A response in chunks, at the pace of the reader."""
    for number in range(1, count + 1):
        await asyncio.sleep(0.01)
        yield number
