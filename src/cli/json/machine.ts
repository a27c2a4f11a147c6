/** Results of the commands that look at a machine before its kernel is changed. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";
import { advice, failureSchema, recordedFailureSchema, refusals, warnings } from "./failures.ts";
import { count, counts, flag, milliseconds, notes, seconds, text, texts } from "./parts.ts";

export const kernelsSchema = v.object({
  kernels: described(
    v.array(
      v.object({
        release: text("Its release, as uname -r says it."),
        image: text("The path of the kernel's image."),
        initrd: v.optional(text("The path of its initramfs, if there is one.")),
        modules: v.optional(text("The folder of its modules, if there is one.")),
        config: v.optional(text("The path of its configuration, if there is one.")),
        running: flag("Whether it is the one that runs now."),
        obstacle: v.optional(described(failureSchema, "Why it cannot take frozen processes, if it cannot.")),
      }),
    ),
    "The kernels in /boot, the newest first.",
  ),
});

export const doctorSchema = v.object({
  canSwap: flag("Whether nothing stands in the way."),
  from: text("The release of the running kernel."),
  to: v.optional(text("The release of the kernel that was looked at; not there where there is none.")),
  refusals,
  warnings,
  advice,
});

const pauseBasis = text("What the expected pauses are based on, in a sentence: they are estimates.");
const sessions = texts("The sessions that were opened through it and come with it: names of scopes.");
const processes = counts("The process ids of all its processes.");
const unit = text("Its name with the ending, such as nginx.service.");

const keptImages = described(
  v.array(
    v.object({
      swap: text("The id of the swap or suspend."),
      frozenAt: text("When they were frozen (ISO 8601, UTC)."),
      units: texts("The names of the units that are in them."),
      processes: counts("The process ids that are in them."),
      directories: texts("The images, for kmonte thaw."),
      failure: v.optional(
        described(recordedFailureSchema, "Why they were not thawed; not there for those that still wait for it."),
      ),
    }),
  ),
  "Images of an earlier boot that were not thawed, the oldest first.",
);

export const servicesSchema = v.object({
  services: described(
    v.array(
      v.object({
        unit,
        description: text("What it is, as systemd has it (Description=)."),
        protected: flag("Whether it is chosen to go along (kmonte protect)."),
        verdict: described(
          v.picklist(["along", "in-the-way", "anew", "ends", "system"]),
          "along: protected, and goes along; in-the-way: protected, and something stands in the way; anew: is stopped before, and started by the boot if it is enabled; ends: a session or another scope that no boot starts again; system: part of every boot.",
        ),
        wouldGoAlong: flag("Whether nothing stands in the way of it, be it protected or not."),
        sessions,
        processes,
        memoryBytes: v.optional(count("The memory of its control group, in bytes, where systemd accounts for it.")),
        lookMilliseconds: v.optional(milliseconds("How long its processes were paused for this look")),
        expectedPauseSeconds: v.optional(seconds("How long it would be paused in a swap, estimated")),
        refusals,
        notes,
      }),
    ),
    "The units that run.",
  ),
  kernel: v.optional(text("The release of the kernel that was asked for (--to).")),
  kernelLacks: v.optional(
    described(v.array(failureSchema), "What that kernel lacks of what the protected units need (--to)."),
  ),
  pauseBasis,
  keptImages,
});

export const protectSchema = v.object({
  added: texts("The names and patterns that are protected now and were not before."),
});
export const unprotectSchema = v.object({ removed: texts("The names and patterns that are protected no more.") });

export const planSchema = v.object({
  along: described(
    v.array(
      v.object({
        unit,
        sessions,
        processes,
        tolerated: flag("Whether it is started anew if it alone cannot be thawed (--tolerate)."),
        expectedPauseSeconds: v.optional(
          seconds("How long it would be paused, estimated, without the time that the machine is off"),
        ),
      }),
    ),
    "The units that go along.",
  ),
  stop: texts("The names of the units that systemd stops before; the boot starts those that are enabled."),
  kept: texts("The names of the units that end with the kernel, as what goes along or kmonte itself needs them."),
  pauseBasis,
  warnings,
  advice,
});

export const unchangedSchema = v.object({
  unchanged: described(failureSchema, "Why there was nothing to do: NO_NEWER_KERNEL. This is no failure."),
});

export const rehearseSchema = v.object({
  go: flag("Whether a swap may be made: the copy was thawed, and the health command, if there is one, said yes."),
  kernel: text("The release of the kernel that was tried."),
  emulated: flag("Whether the machine was emulated, as hardware virtualisation does not run this kernel."),
  pausedMs: milliseconds("How long the processes were paused for their copy"),
  thawed: v.optional(flag("Whether the copy was thawed; not there where the machine did not come so far.")),
  healthy: v.optional(flag("Whether the health command said yes; not there where it was not asked.")),
  said: text("What thaw and health command said, or the end of the console where they said nothing."),
});
