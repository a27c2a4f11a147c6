/**
 * What is said at the door: one request, a line of JSON; then lines of progress, and one line with the outcome. Whoever
 * goes away has the work taken back.
 */
import * as v from "valibot";
import { serializeFailure, type SerializedFailure } from "../lib/engine-thread.ts";
import { KmonteError } from "../lib/errors.ts";
import type { ProgressEvent } from "../lib/progress.ts";

/** Requests are read no further than this, in bytes. */
export const LONGEST_REQUEST = 64 * 1024;

/** Descriptors of the process that answers: the connection, and a pipe with the request. */
export const CONNECTION = 0;
export const REQUEST = 3;

const pid = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 22));
const pids = v.pipe(v.array(pid), v.minLength(1), v.maxLength(1024));
/** PATH_MAX of linux/limits.h. In /proc stand ways to what the service itself has open, and no image. */
const path = v.pipe(v.string(), v.regex(/^\/(?!\/*proc(\/|$))[^\0]*$/), v.maxLength(4095));

export const requestSchema = v.variant("verb", [
  v.strictObject({ verb: v.literal("check"), pids, closeExternal: v.optional(v.boolean()) }),
  v.strictObject({
    verb: v.literal("freeze"),
    pids,
    directory: path,
    end: v.picklist(["kill", "resume"]),
    closeExternal: v.optional(v.boolean()),
    expiresAt: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8.64e15))),
    encryptTo: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(64))),
  }),
  v.strictObject({
    verb: v.literal("thaw"),
    directory: path,
    again: v.boolean(),
    remove: v.optional(v.boolean()),
    /** The text of key files. */
    keys: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(8192))), v.maxLength(16))),
  }),
]);
export type DoorRequest = v.InferOutput<typeof requestSchema>;

export type DoorAnswer =
  | { readonly type: "progress"; readonly event: ProgressEvent }
  | { readonly type: "done"; readonly value: unknown }
  | { readonly type: "failed"; readonly failure: SerializedFailure };

/** The line that says how it failed. No stack goes to a user. */
export function failedAnswer(error: unknown): string {
  const failure = { ...serializeFailure(error), stack: undefined };
  return `${JSON.stringify({ type: "failed", failure } satisfies DoorAnswer)}\n`;
}

/** What is said to whoever did not say one request in one line, in time. */
export function badRequest(why: string, cause?: unknown): KmonteError {
  const what = "The door did not understand the request.";
  return new KmonteError(
    "DOOR_REQUEST",
    { what, why, remedy: "Use the kmonte that belongs to the service." },
    { cause },
  );
}

export const DEFAULT_DOOR = "/run/kmonte/door.sock";

/** Where the door is, unless KMONTE_DOOR says otherwise. */
export function doorPath(): string {
  return process.env["KMONTE_DOOR"] || DEFAULT_DOOR;
}
