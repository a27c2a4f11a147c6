/** `kmonte thaw DIR`, and `kmonte thaw --boot` for the unit that a swap installs */
import { resolve } from "node:path";
import type { Command } from "commander";
import { askDaemon, hasDaemon } from "../../daemon/client.ts";
import { readKeyText } from "../../image/trust/keys.ts";
import { failures } from "../../errors/catalogue.ts";
import { EXIT_STATUS, KmonteError } from "../../errors/failure.ts";
import { refreshMetrics } from "../../report/textfile.ts";
import { formatReport, reportOf } from "../../swap/report.ts";
import { resumePendingSwaps, settleSwap } from "../../swap/resume.ts";
import { thaw, type ThawReport } from "../../thaw/thaw.ts";
import { collect } from "../arguments.ts";
import { attend } from "../attend.ts";
import { interruptible } from "../interrupt.ts";
import { formatMilliseconds, printOutcome, tell } from "../output.ts";
import { showProgress } from "../progress.ts";

interface Options {
  readonly unsigned?: boolean;
  readonly again?: boolean;
  readonly shell?: boolean;
  readonly otherProcessor?: boolean;
  readonly boot?: boolean;
  readonly remove?: boolean;
  readonly identity?: string[];
  readonly json?: boolean;
}

export function addThaw(program: Command): void {
  program
    .command("thaw")
    .description("bring frozen processes back under their own ids and resume them")
    .argument("[directory]", "the image that kmonte freeze wrote")
    .option("--boot", "thaw what kmonte swap froze before this boot; kmonte-thaw.service runs this")
    .option("--unsigned", "take an image that no trusted key has signed: it can become any process with any rights")
    .option("--again", "take an image that has been thawed already: its processes go back to the moment of the freeze")
    .option("--shell", "resume the program in this terminal, as if this shell had started it, and wait for it")
    .option("--other-processor", "take an image though this processor lacks features of the one that it comes from")
    .option("-i, --identity <file>", "a key that an encrypted image is opened with; may be given again", collect)
    .option("--remove", "remove what the image holds when the processes have been seen running")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Everything the processes need is checked before anything is made, and all that is wrong is listed. A thaw that fails
leaves no process behind and the image as it was. The processes become children of init.

An image stays when it has been thawed, and is marked so; the machine remembers it too, in /var/lib/kmonte/thawed, and
knows copies of it. It does not know of other machines, and nothing more when that folder has been removed. Thawing it a second time, after the processes have ended,
takes them back to the moment of the freeze, while files and peers have gone on; that is refused without --again.

An image holds all that the processes knew, passwords and keys included. With --remove its files go as soon as the
processes have been seen running, and only the mark stays. Should one of them have ended by then, the image is kept.

With --shell, a program that used the terminal it was started in (an editor, a pager, a debugger, a shell) uses this
one from now on: its terminal, session and place in the foreground are those of the shell that kmonte is started from,
^C and ^Z reach it, and kmonte ends when it does, with its exit status.

Example:
  kmonte thaw /var/lib/images/redis`,
    )
    .action(async (directory: string | undefined, options: Options) => {
      if ((directory === undefined) !== (options.boot === true)) throw failures.USAGE.imageOrBoot();
      if (directory === undefined) await thawAtBoot(options);
      else await thawDirectory(directory, options);
    });
}

async function thawDirectory(directory: string, options: Options): Promise<void> {
  const progress = showProgress(options.json === true);
  const again = options.again === true;
  const remove = options.remove === true;
  const report = await interruptible<ThawReport>((signal) =>
    hasDaemon() && !options.unsigned && !options.shell && !options.otherProcessor
      ? askDaemon(
          { verb: "thaw", directory: resolve(directory), again, remove, keys: options.identity?.map(readKeyText) },
          progress.listen,
          signal,
        )
      : thaw({
          directory,
          unsigned: options.unsigned === true,
          again,
          remove,
          shell: options.shell === true,
          otherProcessor: options.otherProcessor === true,
          identities: options.identity,
          onProgress: progress.listen,
          signal,
        }),
  ).finally(progress.end);
  // Only root has swaps to remember.
  if (process.getuid?.() === 0) noteInSwaps(resolve(directory));
  if (report.shell) {
    for (const note of report.notes) tell(`kmonte: note: ${note}`);
    process.exitCode = await attend(report.shell);
    return;
  }
  if (!options.json) for (const note of report.notes) tell(`kmonte: note: ${note}`);
  const first = report.steps[0]?.start ?? 0;
  const last = report.steps.at(-1)?.end ?? 0;
  printOutcome<"thaw">(
    options.json,
    report,
    `Running again: ${report.processes.map(({ pid, command }) => `${command} (${pid})`).join(", ")}.`,
    `Took ${formatMilliseconds(last - first)}.`,
  );
}

/** The processes run: that some swap's record cannot be read or written does not change it. */
function noteInSwaps(directory: string): void {
  try {
    for (const note of settleSwap(directory)) tell(`kmonte: note: ${note}`);
    refreshMetrics();
  } catch (error) {
    const summary = error instanceof KmonteError ? error.message : String(error);
    tell(`kmonte: note: the processes run, but the record of their swap could not be brought up to date. ${summary}`);
  }
}

async function thawAtBoot(options: Options): Promise<void> {
  const progress = showProgress(options.json === true);
  const records = await interruptible((signal) => resumePendingSwaps({ onProgress: progress.listen, signal })).finally(
    progress.end,
  );
  if (records.length > 0) refreshMetrics();
  if (records.some(({ state }) => state !== "done" && state !== "trial")) process.exitCode = EXIT_STATUS.failed;
  const swaps = records.map(reportOf);
  const lines = swaps.map((swap) => formatReport(swap).trimEnd());
  printOutcome<"thaw --boot">(
    options.json,
    { swaps },
    ...(lines.length === 0 ? ["Nothing waits to be thawed."] : lines),
  );
}
