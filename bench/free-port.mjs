// A port for a server of a benchmark.
import { createServer } from "node:net";

/** A free port of 127.0.0.1. */
export function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
