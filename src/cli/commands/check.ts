/** `kmonte check PID…` and `kmonte check --all` */
import { availableParallelism } from "node:os";
import type { Command } from "commander";
import type { CheckOutcome } from "../../freeze/check/check.ts";
import { askDaemon, hasDaemon } from "../../daemon/client.ts";
import { check } from "../../freeze/freeze.ts";
import { checkEach, treesOfMachine } from "../../freeze/check/machine.ts";
import { failures } from "../../errors/catalogue.ts";
import { EXIT_STATUS, type FailureObject } from "../../errors/failure.ts";
import { lackingIn, readOffer } from "../../swap/kernel-config.ts";
import { findKernel } from "../../swap/kernels.ts";
import { parsePid } from "../arguments.ts";
import { describeFailure, formatMilliseconds, printJson, printLine, tell } from "../output.ts";

interface Options {
  readonly all?: boolean;
  readonly closeExternal?: boolean;
  readonly to?: string;
  readonly json?: boolean;
}

export function addCheck(program: Command): void {
  program
    .command("check")
    .description("say whether processes would freeze, and what stands in the way")
    .argument("[pid...]", "processes to look at, each with all its descendants", parsePid)
    .option("--all", "look at every process of the machine, and sort by what stands in the way")
    .option("--close-external", "as kmonte freeze has it")
    .option("--to <kernel>", "say also what that kernel lacks of what they need: a version in /boot, or an image")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
The processes are stopped for the time of one look, some milliseconds, and resume. The exit status is 3 when something
stands in the way; with --all it is 0.

Of processes that would freeze it says as well what would not be as it was after a thaw, because no kernel lets anyone
set it again, as far as a look can tell.

Examples:
  kmonte check 4711
  kmonte check --to 6.12 4711
  sudo kmonte check --all`,
    )
    .action(async (pids: number[], options: Options) => {
      if ((pids.length === 0) !== (options.all === true) || (options.all && options.to !== undefined)) {
        throw failures.USAGE.processesOrAll();
      }
      if (options.all) await checkMachine(options);
      else await checkProcesses(pids, options);
    });
}

async function checkProcesses(pids: readonly number[], options: Options): Promise<void> {
  const { closeExternal } = options;
  // A kernel that is not there is said before anything stands still.
  const target = options.to === undefined ? undefined : findKernel(options.to);
  const offer = target && readOffer(target);
  const looked = hasDaemon()
    ? await askDaemon<CheckOutcome>({ verb: "check", pids: [...pids], closeExternal })
    : await check(pids, { closeExternal });
  const lacking = target && offer ? lackingIn(target.release, offer, looked.needs, availableParallelism()) : [];
  const outcome = { ...looked, refusals: [...looked.refusals, ...lacking.map((refusal) => refusal.toJSON())] };
  if (outcome.refusals.length > 0) process.exitCode = EXIT_STATUS.refused;
  if (options.json) {
    printJson<"check">(outcome);
    return;
  }
  for (const { pid, command, threads } of outcome.processes) {
    printLine(`${pid}  ${command}${threads > 1 ? `, ${threads} threads` : ""}`);
  }
  for (const note of outcome.notes) tell(`kmonte: note: ${note}`);
  if (outcome.refusals.length === 0) {
    const where = target ? ` Linux ${target.release} has what they need.` : "";
    printLine(`Would freeze.${where} Paused for ${formatMilliseconds(outcome.pausedMs)}.`);
    printDifferences(outcome.differences);
    return;
  }
  printLine("Would not freeze:");
  for (const obstacle of outcome.refusals) for (const line of describeFailure(obstacle, "- ", "  ")) printLine(line);
}

function printDifferences(differences: CheckOutcome["differences"]): void {
  printLine("Not as it was after a thaw:");
  for (const { what, processes } of differences) {
    const who = processes.map(({ pid, command }) => `${command} (${pid})`).join(", ");
    printLine(who === "" ? `- ${what}` : `- ${who}: ${what}`);
  }
  printLine("- what no program keeps, such as the time at which it started and CPU time used so far");
}

async function checkMachine(options: Options): Promise<void> {
  const roots = treesOfMachine();
  const looked: (CheckOutcome & { readonly root: number })[] = [];
  for await (const outcome of checkEach(roots.map((root) => [root]))) {
    looked.push({ root: roots[looked.length] as number, ...outcome });
  }
  // Who has ended since the list was made stands in nobody's way.
  const trees = looked.filter(({ refusals }) => !refusals.some(({ code }) => code === "NO_SUCH_PROCESS"));
  if (options.json) {
    printJson<"check --all">({ trees });
    return;
  }
  const free = trees.filter((tree) => tree.refusals.length === 0);
  printLine(`${free.length} of ${trees.length} trees of processes would freeze:`);
  for (const { processes } of free)
    printLine(`  ${processes.map(({ pid, command }) => `${command} (${pid})`).join(", ")}`);
  for (const [code, found] of byCode(trees.flatMap(({ refusals }) => refusals))) {
    printLine();
    printLine(`${code}, ${found.length === 1 ? "once" : `${found.length} times`}:`);
    for (const obstacle of found) for (const line of describeFailure(obstacle, "  - ", "    ")) printLine(line);
  }
}

/** What stands in the way, the most frequent first. */
function byCode(obstacles: readonly FailureObject[]): [string, FailureObject[]][] {
  const groups = Map.groupBy(obstacles, ({ code }) => code);
  return [...groups].sort(([, one], [, other]) => other.length - one.length);
}
