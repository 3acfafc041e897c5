// The same handler behind unix sockets: node server.mjs SOCKET HTTP_SOCKET. On the first, a length
// of four bytes precedes each payload.
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { argv } from "node:process";
import handle from "./echo.mjs";

createServer((socket) => {
  let rest = Buffer.alloc(0);
  let parts = [];
  let missing = 0;
  socket.on("data", (data) => {
    let input = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    rest = Buffer.alloc(0);
    while (input.length > 0) {
      if (missing === 0) {
        if (input.length < 4) {
          rest = input;
          return;
        }
        missing = input.readUInt32BE(0);
        input = input.subarray(4);
      }
      const part = input.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      input = input.subarray(part.length);
      if (missing > 0) return;
      const payload = handle(parts.length === 1 ? parts[0] : Buffer.concat(parts));
      parts = [];
      const head = Buffer.alloc(4);
      head.writeUInt32BE(payload.length);
      socket.cork();
      socket.write(head);
      socket.write(payload);
      socket.uncork();
    }
  });
  socket.on("error", () => {});
}).listen(argv[2]);

// nginx keeps its connections for longer than 5 s, and answers with 502 if Node has closed one
createHttpServer({ keepAliveTimeout: 0 }, (request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => response.end(handle(Buffer.concat(parts))));
}).listen(argv[3]);
