// A client that sends a request and reads only on request.
import { createConnection, type Socket } from "node:net";

export function slowClient(port: number, path: string): Socket {
  const socket = createConnection({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return socket;
}
