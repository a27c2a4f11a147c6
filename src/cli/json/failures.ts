/** How failures, refusals, warnings and advice look. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";
import { count, text } from "./parts.ts";

const TEXT = {
  what: text("What happened, in one sentence."),
  why: v.optional(text("Why.")),
  remedy: v.optional(text("What the reader can do.")),
};

const code = text("What it is, for scripts. Codes are stable, and docs/errors.md lists them.");

const FINDING = {
  code,
  kind: described(
    v.picklist(["usage", "refused", "failed", "interrupted"]),
    "What kind of failure it is. That of an error decides the exit status: failed 1, usage 2, refused 3, interrupted 130.",
  ),
  ...TEXT,
  pid: v.optional(count("The process that it is about.")),
  tid: v.optional(count("The thread that it is about.")),
  fd: v.optional(count("The file descriptor that it is about.")),
  path: v.optional(text("The file that it is about.")),
  address: v.optional(text("The start of the mapping in memory that it is about, in hexadecimal.")),
  syscall: v.optional(text("The system call that failed.")),
  errno: v.optional(text("With which errno, by its name (errno(3)).")),
  command: v.optional(text("The name of the process, as in /proc/PID/comm.")),
  resource: v.optional(text("The kind of thing that it is about, such as file, mapping, or socket.")),
};

const findingSchema = v.object(FINDING);
const each = described(v.array(findingSchema), "Where several things stand in the way: each of them.");

/** A failure; one that stands for several has them all. */
export const failureSchema = v.object({ ...FINDING, refusals: v.optional(each) });

export const refusals = described(v.array(failureSchema), "What stands in the way; empty where nothing does.");

export const warnings = described(
  v.array(v.object({ code, kind: described(v.literal("warning"), "Always warning."), ...TEXT })),
  "What a person should know, or see to, before; it stops nothing.",
);

export const advice = described(
  v.array(v.object({ code, kind: described(v.literal("advice"), "Always advice."), ...TEXT })),
  "What may make a change of kernel needless.",
);

/** Of a failure as a record of a swap has it. */
export const recordedFailureSchema = v.object({ code, ...TEXT });

/** In the place of any result. */
export const errorSchema = v.object({ error: described(failureSchema, "What went wrong.") });
