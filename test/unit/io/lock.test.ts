import { expect, test } from "vitest";
import { acquireLock } from "../../../src/io/lock.js";
import { temporaryFolder } from "../../support/temporary.js";

test("refuses a directory that is locked, until it is released", async () => {
  const folder = temporaryFolder();
  const lock = await acquireLock(folder);
  await expect(acquireLock(folder, { busyMessage: "in use" })).rejects.toMatchObject({
    code: "locked",
    message: "in use",
  });
  await lock.release();
  await (await acquireLock(folder)).release();
});

test("waits for the owner on request", async () => {
  const folder = temporaryFolder();
  const events: string[] = [];
  const lock = await acquireLock(folder);
  const second = acquireLock(folder, { wait: true }).then((taken) => {
    events.push("second");
    return taken;
  });
  events.push("first releases");
  await lock.release();
  await (await second).release();
  expect(events).toEqual(["first releases", "second"]);
});
