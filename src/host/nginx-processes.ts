/** Which running nginx use a product. */
import { readdir, readFile, readlink } from "node:fs/promises";

/** The nginx processes that have mapped a file; only root sees other users' processes. */
export async function nginxProcessesWith(file: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const maps = await readFile(`/proc/${name}/maps`, "utf8").catch(() => "");
    if (!maps.includes(file)) continue;
    const program = await readlink(`/proc/${name}/exe`).catch(() => "");
    if (/nginx|openresty/i.test(program)) found.push(Number(name));
  }
  return found;
}
