/** TCP ports of the loopback interface. */
import { createServer } from "node:net";
import { NffiError } from "../errors.js";

/** A port that was free a moment ago; whoever binds it must be ready to find it taken. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new NffiError("internal", "the kernel gives no port");
  }
  return address.port;
}
