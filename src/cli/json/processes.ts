/** Results of the commands that freeze and thaw single processes. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";
import { refusals } from "./failures.ts";
import { command, count, counts, flag, milliseconds, moment, notes, pid, steps, text, texts } from "./parts.ts";

const CHECK = {
  processes: described(
    v.array(v.object({ pid, command, threads: count("How many threads it has.") })),
    "The processes with all their descendants; empty where they could not be stopped.",
  ),
  refusals,
  notes,
  needs: described(
    v.array(
      v.object({
        option: text("The option of the kernel's configuration, CONFIG_…: built in or a module."),
        module: v.optional(text("The name of the module, where there may be one.")),
        what: text("What it is for."),
        pid: v.optional(count("The first process that has such a thing.")),
        command: v.optional(text("The name of that process.")),
      }),
    ),
    "What a kernel must have been built with to take them.",
  ),
  differences: described(
    v.array(
      v.object({
        what: text("What it is, without a full stop."),
        processes: described(
          v.array(v.object({ pid, command })),
          "Whose it is; empty where it is of the set as a whole.",
        ),
      }),
    ),
    "What of them is not as it was after a thaw, beside what holds for every program (docs/support.md).",
  ),
  pausedMs: milliseconds("How long the processes were paused"),
};

export const checkSchema = v.object(CHECK);

export const checkAllSchema = v.object({
  trees: described(
    v.array(v.object({ root: count("The process id of its first process."), ...CHECK })),
    "Each tree of processes that could be frozen by itself, with what a look at it has found.",
  ),
});

export const freezeSchema = v.object({
  directory: text("Where the image is."),
  processes: described(
    v.array(v.object({ pid, command, stoppedAt: moment("When its first thread was stopped") })),
    "The processes that are in the image.",
  ),
  bytes: count("How much memory was written, in bytes."),
  notes,
  steps,
  running: flag("Whether the processes continue to run (--leave-running); otherwise they have been ended."),
});

export const thawSchema = v.object({
  processes: described(
    v.array(
      v.object({
        pid,
        command,
        runningAt: v.optional(moment("When it resumed; not there for one that had ended before the freeze")),
      }),
    ),
    "The processes of the image.",
  ),
  living: counts("The process ids of those that run: the others had ended before the freeze, and nobody had waited."),
  steps,
  notes,
});

export const convertSchema = v.object({
  directory: text("Where the converted image is."),
  from: described(v.number(), "The format that the image had."),
  to: described(v.number(), "The format that it has now."),
});

export const decryptSchema = v.object({
  directory: text("Where the files are."),
  files: texts("Their names."),
});
