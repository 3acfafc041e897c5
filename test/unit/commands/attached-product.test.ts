// `nffi detach` removes only what the user has named, or the default prefix of `nffi attach`.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { productToDetach } from "../../../src/commands/attached-product.js";
import { findProduct, rememberAttach } from "../../../src/pipeline/product.js";
import { describeFound } from "../../../src/pipeline/product-title.js";
import { temporaryFolder } from "../../support/temporary.js";

const NGINX = { name: "nginx", version: "1.22.1", path: "/usr/sbin/nginx" };

async function attached() {
  const cwd = temporaryFolder();
  const prefix = join(cwd, "elsewhere");
  const file = join(prefix, "nffi/nffi.json");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ format: 1, kind: "attached", nginx: NGINX, files: {} }));
  const env = { XDG_STATE_HOME: join(cwd, "state") };
  await rememberAttach(prefix, env);
  return { prefix, wish: { prefix: undefined, env, cwd } };
}

test("what this user attached last is found, but only removed by its name", async () => {
  const { prefix, wish } = await attached();
  expect(describeFound(await findProduct(wish))).toBe(
    `nginx 1.22.1 (/usr/sbin/nginx), attached in ${prefix} (attached last by this user; no product in ./.nffi/openresty)`,
  );
  await expect(productToDetach(wish)).rejects.toMatchObject({
    code: "usage",
    message: "missing argument PREFIX: the product to remove",
    hint: `run \`nffi detach ${prefix}\``,
  });
  const named = await productToDetach({ ...wish, prefix });
  expect(describeFound(named)).toContain(`attached in ${prefix} (named on the command line)`);
});

test("the link of a project is not followed, and its target is printed", async () => {
  const { prefix, wish } = await attached();
  const link = join(wish.cwd, ".nffi/openresty");
  mkdirSync(dirname(link));
  symlinkSync(prefix, link);
  await expect(productToDetach(wish)).rejects.toMatchObject({
    code: "usage",
    message: `${link} leads to ${prefix}, which others may use`,
    hint: `to remove that product: \`nffi detach ${prefix}\``,
  });
  expect(await productToDetach({ ...wish, prefix: link })).toMatchObject({ prefix });
});
