"""The same handler behind unix sockets: server.py SOCKET HTTP_SOCKET. On the first, a length of
four bytes precedes each payload. The HTTP is only what nginx's proxy_pass needs."""

import asyncio
import struct
import sys

from echo import handle


async def serve_frames(reader, writer):
    try:
        while True:
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            payload = handle(await reader.readexactly(length))
            writer.write(struct.pack(">I", len(payload)) + payload)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve_http(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            payload = handle(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(payload) + payload)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(socket, http):
    limit = 1 << 24
    await asyncio.start_unix_server(serve_frames, socket, limit=limit)
    await asyncio.start_unix_server(serve_http, http, limit=limit)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:3]))
