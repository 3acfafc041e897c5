// The same TypeScript handler for both: as a runtime of nffi, and behind a unix socket.
// node echo.mjs PATH SIZE: the server that the cosocket talks to.
import { createServer } from "node:net";
import { argv } from "node:process";

const handle = (bytes) => bytes;

export default handle;

if (argv[1] === new URL(import.meta.url).pathname) {
  const [path, size] = [argv[2], Number(argv[3])];
  createServer((socket) => {
    let parts = [];
    let have = 0;
    socket.on("data", (part) => {
      parts.push(part);
      have += part.length;
      if (have < size) return;
      socket.write(handle(parts.length === 1 ? part : Buffer.concat(parts)));
      parts = [];
      have = 0;
    });
    socket.on("error", () => {});
  }).listen(path);
}
