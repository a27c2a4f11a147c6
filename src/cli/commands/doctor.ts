/** `kmonte doctor`: whether this machine can change its kernel, and what to know before. */
import type { Command } from "commander";
import { EXIT_STATUS } from "../../errors/failure.ts";
import { requireRoot } from "../../lib/require-root.ts";
import { diagnose, type Diagnosis } from "../../swap/doctor/diagnose.ts";
import type { Result } from "../json/results.ts";
import { describeFindings, printJson, printLine } from "../output.ts";

interface Options {
  readonly to?: string;
  readonly json?: boolean;
}

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description(
      "say whether this machine can change its kernel, and what the boot of the new one would wait for or lack",
    )
    .option("--to <kernel>", "the kernel, as for kmonte swap; without it, the newest in /boot")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Looks at rights, kexec and signatures (lockdown, Secure Boot), watchdogs, the kernel's image, initramfs and modules,
DKMS, firmware, room, packages, systemd, and the disks that the boot needs, with what they lie on. It changes nothing.
What stands in the way is what kmonte swap refuses, with the same codes; the exit status is 3 then. Warnings and advice
do not change it. Units are looked at by kmonte services, and what they need of the kernel by kmonte swap --plan.

Examples:
  sudo kmonte doctor
  sudo kmonte doctor --to 6.12 --json`,
    )
    .action((options: Options) => {
      requireRoot("look at all that a change of kernel needs");
      const diagnosis = diagnose(options.to);
      if (diagnosis.refusals.length > 0) process.exitCode = EXIT_STATUS.refused;
      if (options.json) printJson<"doctor">(asJson(diagnosis));
      else printDiagnosis(diagnosis);
    });
}

function asJson({ from, kernel, refusals, warnings, advice }: Diagnosis): Result<"doctor"> {
  return { canSwap: refusals.length === 0, from, ...(kernel && { to: kernel.release }), refusals, warnings, advice };
}

function printDiagnosis({ from, kernel, refusals, warnings, advice }: Diagnosis): void {
  for (const line of describeFindings("In the way:", refusals)) printLine(line);
  for (const line of describeFindings("To know before:", warnings)) printLine(line);
  for (const line of describeFindings("Perhaps without a swap:", advice)) printLine(line);
  const to = kernel ? ` from Linux ${from} to ${kernel.release}` : "";
  if (refusals.length === 0) printLine(`This machine can change its kernel${to}.`);
  else printLine(`This machine cannot change its kernel${to}: ${things(refusals.length)} in the way.`);
}

function things(count: number): string {
  return count === 1 ? "one thing stands" : `${count} things stand`;
}
