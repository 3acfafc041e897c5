/** The inspector, for a debugger on this machine: each process has a separate port. */

import { open, url } from "node:inspector";
import { createServer, type Server } from "node:net";

const ADDRESS = "127.0.0.1";

/** The ports of the processes of one worker. */
export interface InspectPorts {
  /** 0: any. */
  readonly first: number;
  readonly count: number;
}

/** Takes the first free port, or any port if all of them are taken. Returns the debugger's URL. */
export async function openInspector({ first, count }: InspectPorts): Promise<string> {
  for (let port = first; port > 0 && port < first + count && port < 65536; port++) {
    if (!(await claim(port))) continue;
    if (await isFree(port)) open(port, ADDRESS);
    const opened = url();
    if (opened !== undefined) return opened;
  }
  open(0, ADDRESS);
  const opened = url();
  if (opened === undefined) throw new Error(`the inspector could not be opened on ${ADDRESS}`);
  return opened;
}

/**
 * Processes that start together look for their ports together, and Node would complain in the log
 * of one that is taken: the name of a socket, held until this process ends, is given only once.
 */
async function claim(port: number): Promise<boolean> {
  const server = await listen(`\0nffi-inspect-${port}`);
  server?.unref();
  return server !== undefined;
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen({ port, host: ADDRESS });
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** undefined: another process uses it. */
function listen(where: string | { port: number; host: string }): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(where, () => resolve(server));
  });
}
