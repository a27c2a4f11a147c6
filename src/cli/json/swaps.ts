/** Results of the commands that tell of swaps and suspends that were made. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";
import { swapRecordSchema, swapUnitSchema } from "../../swap/store.ts";
import { count, seconds, text, texts } from "./parts.ts";

/** A swap's record, and what follows from it. */
export const reportSchema = v.object({
  ...swapRecordSchema.entries,
  units: v.optional(
    described(
      v.array(
        v.object({
          ...swapUnitSchema.entries,
          pauseSeconds: v.optional(
            seconds("How long it was paused, from the stop of its first process until its last one resumed"),
          ),
        }),
      ),
      "The units that the processes belong to.",
    ),
  ),
  gapSeconds: v.optional(seconds("How long the processes were paused; not there while they still are")),
  kernelSeconds: v.optional(
    seconds("How long of that no process of this machine ran, as one kernel ended and another started"),
  ),
  lines: described(
    v.array(
      v.object({
        step: text("Its name; docs/json.md lists them."),
        seconds: seconds("How long it took"),
        after: seconds("When it began, counted from the stop of the first process; negative for what was before"),
        phase: v.optional(
          described(
            v.picklist(["before", "freeze", "kernel", "back", "boot", "thaw"]),
            "before: all still ran; freeze: they were written down; kernel: from one kernel to the next; back: the same, with a kernel in between that was tried and left; boot: from the new boot's first process to kmonte; thaw: they were set running again.",
          ),
        ),
      }),
    ),
    "The steps, in their order.",
  ),
});

export const swapsSchema = v.object({
  swaps: described(v.array(reportSchema), "The swaps and suspends that were dealt with, as kmonte report has them."),
});

export const reportFileSchema = v.object({ file: text("The file that was written.") });
export const reportMailSchema = v.object({ mailed: texts("To whom mail was sent.") });

export const handOverSchema = v.object({
  units: described(
    v.array(
      v.object({
        name: swapUnitSchema.entries.name,
        mainPid: v.optional(count("The main process that systemd was told of; not there for a scope.")),
        after: swapUnitSchema.entries.after,
      }),
    ),
    "The units that systemd has again.",
  ),
});
