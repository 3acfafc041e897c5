// The methods of this runtime: every function exported here can be called from Lua by its name,
// `runtime.methods:hello({ name = "World" })`. What it returns becomes JSON, what it throws becomes
// `nil, message` in Lua.
import { setTimeout } from "node:timers/promises";
import type { Handler } from "@nffi/runtime";

export interface HelloRequest {
  readonly name: string;
}

export interface HelloReply {
  readonly greeting: string;
}

export const hello: Handler<HelloRequest, HelloReply> = ({ name }) => {
  if (name.trim() === "") throw new Error("whom shall I greet? the name is empty");
  return { greeting: `hello ${name}` };
};

export interface WaitRequest {
  readonly ms: number;
}

export interface WaitReply {
  readonly waited: number;
}

/** `signal` aborts when nobody waits for the answer any more: the client is gone, time is up. */
export const wait: Handler<WaitRequest, WaitReply> = async ({ ms }, { signal }) => {
  await setTimeout(ms, undefined, { signal });
  return { waited: ms };
};
