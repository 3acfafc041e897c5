/** TCP ports of the loopback interface. */
import { createServer } from "node:net";
import { NffiError } from "../errors.js";

/** A port that was free a moment ago; another program may take it before the caller binds it. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new NffiError("internal", "no free port");
  }
  return address.port;
}
