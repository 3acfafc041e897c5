// The methods of this runtime: Lua can call every function exported here by its name,
// `runtime.methods:hello({ name = "World" })`. The result is sent as JSON, an exception as
// `nil, message`.
import { setTimeout } from "node:timers/promises";
import type { Handler } from "@nffi/runtime";

export interface HelloRequest {
  readonly name: string;
}

export interface HelloResponse {
  readonly greeting: string;
}

export const hello: Handler<HelloRequest, HelloResponse> = ({ name }) => {
  if (name.trim() === "") throw new Error("whom shall I greet? the name is empty");
  return { greeting: `hello ${name}` };
};

export interface WaitRequest {
  readonly ms: number;
}

export interface WaitResponse {
  readonly waited: number;
}

/** `signal` aborts when the call is cancelled: client disconnected, timeout. */
export const wait: Handler<WaitRequest, WaitResponse> = async ({ ms }, { signal }) => {
  await setTimeout(ms, undefined, { signal });
  return { waited: ms };
};
