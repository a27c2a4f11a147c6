/** `kmonte services`: what a swap would do with each unit that runs. */
import type { Command } from "commander";
import { EXIT_STATUS, type Refusal } from "../../errors/failure.ts";
import { readProtections } from "../../units/protected.ts";
import { runningUnits, survey, type SurveyedUnit, type Verdict } from "../../units/survey.ts";
import { requireSystemd } from "../../lib/systemctl.ts";
import { isInTheWay, rerunOutside } from "../outside.ts";
import { keptImages, type KeptImages } from "../../swap/kept-images.ts";
import { findKernel, type Kernel } from "../../swap/kernels.ts";
import { inTheWayOf } from "../../swap/target.ts";
import { inTheWay } from "../../units/obstacles.ts";
import { expectPauses, type ExpectedPauses } from "../../swap/expected-pause.ts";
import { requireRoot } from "../../lib/require-root.ts";
import type { Result } from "../json/results.ts";
import {
  describeFailure,
  describeFindings,
  formatBytes,
  formatMilliseconds,
  lowerFirst,
  printJson,
  printLine,
} from "../output.ts";

interface Options {
  readonly protected?: boolean;
  readonly all?: boolean;
  readonly to?: string;
  readonly summary?: boolean;
  readonly json?: boolean;
}

export function addServices(program: Command): void {
  program
    .command("services")
    .description("say of each running unit what a swap would do with it, and what stands in the way")
    .option("--protected", "protected units alone")
    .option("--all", "also what every boot starts for itself, such as systemd's own services")
    .option(
      "--to <kernel>",
      "say also what that kernel lacks of what protected units need: a version in /boot, or an image",
    )
    .option("--summary", "protected units alone, in a few lines; the hook for new kernels in /etc/kernel runs this")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Protected units (kmonte protect) go along; all others are stopped by systemd before, and the boot starts what is enabled. The
processes of a unit are stopped for the time of one look, some milliseconds, and resume. Protected units are looked at as
one set, as a swap freezes them. A session that was opened through a service, such as those of ssh.service, comes with
it. The pause of a unit in a swap is estimated from the last swap of this machine; where there was none, from
rates that are assumed and the present boot: what it is based on is printed below. The exit status is 3 when something stands in the way of a protected unit.

Examples:
  sudo kmonte services
  sudo kmonte services --protected --to 6.12
  sudo kmonte services --protected --json`,
    )
    .action(async (options: Options) => {
      requireSystemd("kmonte services");
      requireRoot("look into the processes of all units");
      const protections = readProtections();
      const kernel = options.to === undefined ? undefined : findKernel(options.to);
      const onlyProtected = options.protected === true || options.summary === true;
      const running = runningUnits(onlyProtected ? protections : undefined);
      if (isInTheWay(running)) return void (await rerunOutside());
      const units = (await survey(running, protections)).filter(
        (one) => (!onlyProtected || one.protected) && (options.all || one.verdict !== "system"),
      );
      const along = units.filter(({ verdict }) => verdict === "along");
      const going = units.filter((one) => one.protected && one.verdict !== "system");
      const found = kernel && along.length > 0 ? await inTheWayOf(kernel.image, going) : [];
      const lacking = options.summary ? found.filter(({ code }) => !WHILE_INSTALLING.test(code)) : found;
      const blocked = lacking.length > 0 || units.some(({ verdict }) => verdict === "in-the-way");
      if (blocked) process.exitCode = EXIT_STATUS.refused;
      const pauses = expectPauses(units, "swap");
      const kept = keptImages();
      if (options.json) {
        const services = units.map((one) => asJson(one, pauses));
        const target = kernel && { kernel: kernel.release, kernelLacks: lacking };
        return printJson<"services">({ services, ...target, pauseBasis: pauses.basis, keptImages: kept });
      }
      if (options.summary) return printSummary({ along, refusals: [...inTheWay(units), ...lacking], kernel, pauses });
      printTable(units, pauses);
      for (const one of kept) printKept(one);
      if (kernel && along.length > 0) printLacking(kernel, lacking);
    });
}

/** What is so as long as a kernel's package is being installed, whose hook asks for a summary. */
const WHILE_INSTALLING = /^PACKAGES_(BUSY|UNFINISHED)$/;

function asJson(surveyed: SurveyedUnit, pauses: ExpectedPauses): Result<"services">["services"][number] {
  const { unit, scopes, pids, verdict, obstacles, notes, pausedMs, ...one } = surveyed;
  const expected = pauses.of(surveyed);
  return {
    unit: unit.name,
    description: unit.description,
    protected: one.protected,
    verdict,
    wouldGoAlong: verdict !== "system" && obstacles.length === 0,
    sessions: scopes.map(({ name }) => name),
    processes: pids,
    ...(unit.memory !== undefined && { memoryBytes: unit.memory }),
    ...(pausedMs !== undefined && { lookMilliseconds: pausedMs }),
    ...(expected !== undefined && { expectedPauseSeconds: expected }),
    refusals: obstacles,
    notes,
  };
}

const HEADINGS: readonly (readonly [Verdict, string])[] = [
  ["along", "Goes along:"],
  ["in-the-way", "Protected, and in the way of a swap:"],
  ["anew", "Is stopped before, and started by the boot if it is enabled:"],
  ["ends", "Ends, and no boot starts it again:"],
  ["system", "Is part of every boot:"],
];

function printTable(units: readonly SurveyedUnit[], pauses: ExpectedPauses): void {
  if (units.length === 0) return printLine("No such unit is running.");
  const width = Math.max(...units.map(({ unit }) => unit.name.length));
  for (const [verdict, heading] of HEADINGS) {
    const found = units.filter((one) => one.verdict === verdict);
    if (found.length === 0) continue;
    printLine(heading);
    for (const one of found) printUnit(one, width, pauses.of(one));
    // Protected ones are looked at together: what is said of them is said of all.
    const notes = verdict === "along" ? new Set(found.flatMap((one) => one.notes)) : [];
    for (const note of notes) printLine(`  note: ${note}`);
  }
  printLine(`The pause of a unit in a swap: ${lowerFirst(pauses.basis)}`);
}

/** Whoever looks at the units is to know that some of them were not always what they are. */
function printKept({ swap, frozenAt, units, processes, directories, failure }: KeptImages): void {
  const what = units.length > 0 ? units.join(", ") : `processes ${processes.join(", ")}`;
  const state = failure ? "were not thawed, and their images are kept" : "wait to be thawed";
  printLine(`Frozen at ${frozenAt} (${swap}), ${state}:`);
  printLine(`  ${what}`);
  for (const line of failure ? describeFailure(failure, "    - ", "      ") : []) printLine(line);
  const stop = units.length > 0 ? `systemctl stop ${units.join(" ")}; ` : "";
  if (failure) printLine(`    To have them as they were: ${stop}kmonte thaw ${directories.join("; kmonte thaw ")}`);
}

function printLacking({ release }: Kernel, lacking: readonly Refusal[]): void {
  if (lacking.length === 0) return printLine(`Linux ${release} has what the protected units need.`);
  for (const line of describeFindings(`In the way of Linux ${release}:`, lacking)) printLine(line);
}

interface Summary {
  readonly along: readonly SurveyedUnit[];
  readonly refusals: readonly Refusal[];
  readonly kernel: Kernel | undefined;
  readonly pauses: ExpectedPauses;
}

/** Lines among those of other programs: each says whose it is. */
function printSummary({ along, refusals, kernel, pauses }: Summary): void {
  const way = kernel ? `kmonte swap --to ${kernel.release}` : "kmonte swap";
  const say = (text: string): void => printLine(`kmonte: ${text}`);
  const names = along.map((one) => `${one.unit.name} (about ${pauses.of(one)} s)`);
  if (names.length === 0 && refusals.length === 0)
    say("No protected unit is running; kmonte services says which could go along.");
  else if (refusals.length === 0) say(`${way} would take along, each standing still for a time: ${names.join(", ")}.`);
  else say(`${way} would be refused:`);
  for (const refusal of refusals) for (const line of describeFailure(refusal, "  ", "    ")) say(line);
}

function printUnit(one: SurveyedUnit, width: number, pause: number | undefined): void {
  const { unit, scopes, pids, verdict, obstacles, pausedMs } = one;
  const facts = [
    pids.length === 1 ? "1 process" : `${pids.length} processes`,
    ...(unit.memory === undefined ? [] : [formatBytes(unit.memory)]),
    ...(pausedMs === undefined || obstacles.length > 0 ? [] : [`looked at in ${formatMilliseconds(pausedMs)}`]),
    ...(pause === undefined ? [] : [`would be paused for about ${pause} s`]),
    ...(scopes.length === 0 ? [] : [`with ${scopes.map(({ name }) => name).join(", ")}`]),
    ...(verdict === "anew" || verdict === "ends"
      ? [obstacles.length === 0 ? "could go along" : "could not go along"]
      : []),
  ];
  printLine(`  ${unit.name.padEnd(width)}  ${facts.join(", ")}`);
  for (const [first, ...more] of Map.groupBy(obstacles, ({ code }) => code).values()) {
    if (first === undefined) continue;
    for (const line of describeFailure(first, "    - ", "      ")) printLine(line);
    if (more.length > 0) printLine(`      ${more.length} more of this kind: see --json.`);
  }
}
