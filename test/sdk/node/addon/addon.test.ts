// The addon by itself, below the program: what it does when JavaScript fails it.
import { afterEach, expect, test } from "vitest";
import { fixture, Host, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

test("a callback that throws leaves no task without a response, and the error is reported", async () => {
  const host = await Host.start("/none", { main: fixture("bare.mjs") });
  await expect(host.json("any")).rejects.toThrow("the runtime failed");
  await expect(host.json("any")).rejects.toThrow("the runtime failed");
  await untilTrue(() => host.stdout === "thrown for 1\nthrown for 1\n");
  expect(await host.state()).toMatchObject({ unanswered: 0 });
});

test("after the end of the queue nothing keeps Node alive", async () => {
  const host = await Host.start("/none", { main: fixture("bare.mjs") });
  host.close();
  await host.gone;
  await untilTrue(() => host.stdout === "closed\n");
  expect(host.stderr).toBe("");
});

test("an environment of Node may end while it serves", async () => {
  const host = await Host.start("/none", {
    main: fixture("bare.mjs"),
    nodeArgs: ["--conditions=threads"],
  });
  await host.gone;
  await untilTrue(() => host.stdout === "terminated\n");
  expect(host.stderr).toBe("");
});
