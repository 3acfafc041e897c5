/** The text of a stub: a file for the editor, with annotations of LuaLS, that is never executed. */

import type { Method, ModuleMethods, Signature } from "./exports.js";
import { type Declaration, type Field, isName, type LuaType, quoted, textOf } from "./lua-type.js";

export interface Stub {
  /** The class of the runtime, such as `Handlers`. */
  readonly className: string;
  /** The module, as the first lines show it. */
  readonly module: string;
  readonly methods: ModuleMethods;
  readonly declarations: readonly Declaration[];
}

const FAILURE = [
  "---@return string? message",
  "---@return nffi.ErrorCode? code",
  "---@return string|integer|nil detail",
];
const FAILURE_TYPES = "string?, nffi.ErrorCode?, string|integer|nil";

/** In the first lines of every stub; only such a file is replaced. */
export const STUB_MARK = "-- Made by `nffi types` from";

export function textOfStub(stub: Stub): string {
  const { className, module, methods, declarations } = stub;
  const streaming = methods.named.filter(({ signatures }) => signatures[0].chunk);
  const blocks = [
    [
      "---@meta _",
      "",
      `${STUB_MARK} ${module}: the types of its handlers, for the editor.`,
      "-- Never executed. Do not edit it: run `nffi types` again when the handlers change.",
    ],
    [
      `---The runtime that \`nffi.load("node", { module = ... })\` returns for ${module}:`,
      `---\`local rt = assert(nffi.load(...)) --[[@as ${className}]]\``,
      `---@class ${className}: nffi.Runtime`,
      `---@field methods ${className}.Methods`,
      `---@field streams ${className}.Streams`,
      "local runtime = {}",
    ],
    ...(methods.unnamed ? unnamedLines(methods.unnamed) : []),
    ...classOfMethods(`${className}.Methods`, "methods", methods.named, methodLines),
    ...classOfMethods(`${className}.Streams`, "streams", streaming, (method) =>
      streamLines(method, `${className}.Streams`),
    ),
    ...streaming.map((method) => streamClass(method, className)),
    ...declarations.map(declarationLines),
  ];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** Methods with a name of Lua as functions, which editors show best; the others as fields. */
function classOfMethods(
  className: string,
  variable: string,
  methods: readonly Method[],
  linesOf: (method: Method) => string[],
): string[][] {
  const fields = methods.filter(({ name }) => !isName(name));
  return [
    [
      `---@class ${className}`,
      ...fields.flatMap((method) => [
        ...comment(method.doc),
        `---@field [${quoted(method.name)}] ${functionType(method, className, variable)}`,
      ]),
      `local ${variable} = {}`,
    ],
    ...methods.filter(({ name }) => isName(name)).map(linesOf),
  ];
}

function methodLines(method: Method): string[] {
  const [first, ...more] = method.signatures;
  return [
    ...aboutMethod(method),
    parameter(first),
    "---@param options? nffi.CallOptions",
    `---@return ${maybe(first.response)} value`,
    ...FAILURE,
    ...more.map((one) => `---@overload ${signatureType(one, "table", textOf(one.response))}`),
    `function methods:${method.name}(value, options) end`,
  ];
}

function streamLines(method: Method, className: string): string[] {
  return [
    ...aboutMethod(method),
    parameter(method.signatures[0]),
    "---@param options? nffi.StreamOptions",
    `---@return ${className}.${method.name} stream`,
    `function streams:${method.name}(value, options) end`,
  ];
}

/** A separate class for each stream: editors do not agree on classes with a type parameter. */
function streamClass(method: Method, className: string): string[] {
  const { chunk } = method.signatures[0];
  const name = `${className}.Streams.${method.name.replace(/\W/g, "_")}`;
  const type = chunk ? maybe(chunk) : "any";
  const variable = `stream_${method.name.replace(/\W/g, "_")}`;
  return [
    `---@class ${name}: nffi.Stream`,
    `---@overload fun(): ${type}`,
    `local ${variable} = {}`,
    "",
    "---The next chunk; nil at the end, and with a message at a failure.",
    `---@return ${type} chunk`,
    ...FAILURE,
    `function ${variable}:read() end`,
  ];
}

function unnamedLines(method: Method): string[][] {
  const doc = [...aboutMethod(method)];
  const call = [
    ...doc,
    "---@param payload? string|number",
    "---@param options? nffi.RuntimeCallOptions",
    "---@return string? bytes",
    ...FAILURE,
    "function runtime:call(payload, options) end",
  ];
  if (!method.signatures[0].chunk) return [call];
  const stream = [
    ...doc,
    "---@param payload? string|number",
    "---@param options? nffi.RuntimeStreamOptions",
    "---@return nffi.Stream stream",
    "function runtime:stream(payload, options) end",
  ];
  return [call, stream];
}

function aboutMethod(method: Method): string[] {
  const raw = method.isRaw && method.name !== "default" && method.name !== "handle";
  return [
    ...comment(method.doc),
    ...(raw ? ['---Bytes: requires `codec = "raw"`.'] : []),
    ...(method.deprecation ? [`---Deprecated: ${method.deprecation}`] : []),
    ...(method.deprecation === undefined ? [] : ["---@deprecated"]),
  ];
}

function parameter({ request, mayOmit }: Signature): string {
  return `---@param value${mayOmit ? "?" : ""} ${request ? textOf(request) : "nil"}`;
}

function functionType(method: Method, className: string, variable: string): string {
  const [first] = method.signatures;
  if (variable === "methods") return signatureType(first, className, textOf(first.response));
  const stream = `${className}.${method.name.replace(/\W/g, "_")}`;
  return `fun(self: ${className}, ${typedValue(first)}, options?: nffi.StreamOptions): ${stream}`;
}

function signatureType(signature: Signature, self: string, response: string): string {
  const { kind } = signature.response;
  const value = kind === "union" ? `(${response})?` : maybe(signature.response);
  const given = `self: ${self}, ${typedValue(signature)}, options?: nffi.CallOptions`;
  return `fun(${given}): ${value}, ${FAILURE_TYPES}`;
}

function typedValue({ request, mayOmit }: Signature): string {
  return `value${mayOmit ? "?" : ""}: ${request ? textOf(request) : "nil"}`;
}

function maybe(type: LuaType): string {
  const text = textOf(type);
  if (text === "any") return text;
  return type.kind === "union" ? `${text}|nil` : `${text}?`;
}

function declarationLines({ name, doc, body }: Declaration): string[] {
  if (body?.kind === "alias") {
    const members = body.members.map((member) => `---| ${textOf(member)}`);
    return [...comment(doc), `---@alias ${name}`, ...members];
  }
  const fields = body?.fields ?? [];
  return [
    ...comment(doc),
    `---@class ${name}`,
    ...fields.flatMap(fieldLines),
    ...(body?.rest ? [`---@field [string] ${textOf(body.rest)}`] : []),
  ];
}

function fieldLines({ name, type, isOptional, doc }: Field): string[] {
  const key = isName(name) ? name : `[${quoted(name)}]`;
  // a name in brackets takes no question mark
  const mark = isOptional && isName(name) ? "?" : "";
  const text = isOptional && !mark ? maybe(type) : textOf(type);
  return [...comment(doc), `---@field ${key}${mark} ${text}`];
}

function comment(doc: readonly string[]): string[] {
  return doc.map((line) => `---${line}`);
}
