/** One way to call a handler from Lua, and what must run for it. */
import type { Way } from "./report.js";

export interface Server {
  /** Program and arguments; it creates `sockets`. */
  readonly command: readonly [string, ...string[]];
  readonly sockets: readonly string[];
}

/**
 * The nginx that makes the calls: of the product, of the product that it is compared with, or the
 * one that lua-resty-ffi was compiled for.
 */
export type HostName = "product" | "against" | "resty-ffi";

export interface Subject {
  readonly name: string;
  readonly language: string;
  readonly way: Way;
  /** "product" without it. */
  readonly host?: HostName;
  /** What compare.lua takes; nothing for the floor, which is a program. */
  readonly query: Readonly<Record<string, string>>;
  /** The process of a runtime, by the module that nffi.metrics() names. */
  readonly processOf?: string;
  readonly server?: Server;
  /** A program that measures itself: floor SIZE MS CPU. */
  readonly program?: string;
}

export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

export interface Subjects {
  readonly subjects: readonly Subject[];
  readonly leftOut: readonly LeftOut[];
}
