/**
 * The protocol between the service and its clients: one request, a line of JSON; then lines of progress, and one line with the outcome. Whoever
 * goes away has the work taken back.
 */
import * as v from "valibot";
import { serializeFailure, type SerializedFailure } from "../lib/engine-thread.ts";
import { failures } from "../errors/catalogue.ts";
import type { KmonteError } from "../errors/failure.ts";
import { checkRequest, freezeRequest, thawRequest } from "../lib/requests.ts";
import type { ProgressEvent } from "../lib/progress.ts";

/** Requests are read no further than this, in bytes. */
export const LONGEST_REQUEST = 64 * 1024;

/** Descriptors of the process that answers: the connection, and a pipe with the request. */
export const CONNECTION = 0;
export const REQUEST = 3;

const pid = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 22));
/** PATH_MAX of linux/limits.h. In /proc stand ways to what the service itself has open, and no image. */
const path = v.pipe(v.string(), v.regex(/^\/(?!\/*proc(\/|$))[^\0]*$/), v.maxLength(4095));
const pids = v.pipe(v.array(pid), v.minLength(1), v.maxLength(1024));
const texts = (most: number, longest: number) =>
  v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(longest))), v.maxLength(most)));

/** Of what can be asked of kmonte, what users may ask of the service, and how much of it. */
export const requestSchema = v.variant("verb", [
  v.strictObject({ verb: v.literal("check"), ...v.pick(checkRequest, ["closeExternal"]).entries, pids }),
  v.strictObject({
    verb: v.literal("freeze"),
    ...v.pick(freezeRequest, ["closeExternal", "expiresAt"]).entries,
    pids,
    directory: path,
    end: v.picklist(["kill", "resume"]),
    encryptTo: texts(64, 128),
  }),
  v.strictObject({
    verb: v.literal("thaw"),
    ...v.pick(thawRequest, ["again", "remove"]).entries,
    directory: path,
    /** The text of key files. */
    keys: texts(16, 8192),
  }),
]);
export type DaemonRequest = v.InferOutput<typeof requestSchema>;

export type DaemonAnswer =
  | { readonly type: "progress"; readonly event: ProgressEvent }
  | { readonly type: "done"; readonly value: unknown }
  | { readonly type: "failed"; readonly failure: SerializedFailure };

/** The line that says how it failed. No stack goes to a user. */
export function failedAnswer(error: unknown): string {
  const failure = { ...serializeFailure(error), stack: undefined };
  return `${JSON.stringify({ type: "failed", failure } satisfies DaemonAnswer)}\n`;
}

/** What is said to whoever did not say one request in one line, in time. */
export function badRequest(why: string, cause?: unknown): KmonteError {
  return failures.BAD_REQUEST({ why, cause });
}

export const DEFAULT_SOCKET = "/run/kmonte/kmonte.sock";

/** The socket of the service, unless KMONTE_SOCKET says otherwise. */
export function socketPath(): string {
  return process.env["KMONTE_SOCKET"] || DEFAULT_SOCKET;
}
