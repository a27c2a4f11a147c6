/**
 * Which units would freeze: asks `kmonte check` about each running service of a machine. As a program (`npm run
 * units`), about a Debian's stock services, all on one machine.
 */
import { Command, Option } from "commander";
import { EXIT_STATUS, KmonteError } from "../src/errors/failure.ts";
import { DEBIAN_SUITES, type DebianRelease } from "./bootstrap.ts";
import { NamespaceMachine } from "./namespace-machine.ts";
import { stockServices } from "./stock-services.ts";

export interface UnitVerdict {
  readonly unit: string;
  /** How many processes are in its control group. */
  readonly processes: number;
  /** The exit status of `kmonte check`; undefined when the unit does not run. */
  readonly status: number | undefined;
  /** The codes of what stands in the way, with how often each was found. */
  readonly codes: ReadonlyMap<string, number>;
}

/** Every service has them; they end and begin with the boot. */
const SYSTEMS_OWN = /^(systemd-|dbus|user@|getty@|console-getty)/;

const ATTEMPTS = 5;

interface CheckReport {
  readonly refusals?: readonly { readonly code: string }[];
  readonly error?: { readonly code: string };
}

/** The services that run and are not the system's own, by name. */
export async function runningServices(machine: NamespaceMachine): Promise<string[]> {
  const list = ["list-units", "--type=service", "--state=running", "--plain", "--no-legend", "--no-pager"];
  const lines = (await machine.output(["systemctl", ...list])).trim().split("\n");
  const names = lines.map((line) => line.trim().split(/\s+/)[0] ?? "");
  return names.filter((name) => name !== "" && !SYSTEMS_OWN.test(name)).sort();
}

/** Asks about one service; `options` are further ones of `kmonte check`. */
export async function surveyUnit(
  machine: NamespaceMachine,
  unit: string,
  options: readonly string[] = [],
): Promise<UnitVerdict> {
  for (let attempt = 1; ; attempt += 1) {
    const pids = await processesOf(machine, unit);
    if (pids.length === 0) return { unit, processes: 0, status: undefined, codes: new Map() };
    const { code, stdout, stderr } = await machine.run(["kmonte", "check", "--json", ...options, ...pids]);
    const codes = new Map<string, number>();
    for (const found of codesIn(stdout.toString(), stderr.toString())) codes.set(found, (codes.get(found) ?? 0) + 1);
    // A short-lived worker may end between the two questions.
    if (!codes.has("NO_SUCH_PROCESS") || attempt === ATTEMPTS)
      return { unit, processes: pids.length, status: code, codes };
  }
}

async function processesOf(machine: NamespaceMachine, unit: string): Promise<string[]> {
  const group = (await machine.output(["systemctl", "show", "-P", "ControlGroup", unit])).trim();
  if (group === "") return [];
  const text = await machine.output([
    "find",
    `/sys/fs/cgroup${group}`,
    "-name",
    "cgroup.procs",
    "-exec",
    "cat",
    "{}",
    "+",
  ]);
  return [...new Set(text.split("\n").filter(Boolean))].sort((one, other) => Number(one) - Number(other));
}

function codesIn(stdout: string, stderr: string): string[] {
  let report: CheckReport;
  try {
    report = JSON.parse(stdout) as CheckReport;
  } catch {
    throw new KmonteError("LAB_GUEST_COMMAND_FAILED", {
      what: "In the machine, kmonte check --json wrote no JSON.",
      why: (stderr || stdout).trim(),
    });
  }
  return [...(report.refusals ?? []), ...(report.error ? [report.error] : [])].map(({ code }) => code);
}

/** One line: what would happen to the unit. */
export function verdictLine({ unit, processes, status, codes }: UnitVerdict): string {
  const found = [...codes].sort().map(([code, times]) => (times === 1 ? code : `${code}×${times}`));
  const verdict = status === undefined ? "does not run" : status === 0 ? "yes" : `no (${status})  ${found.join(" ")}`;
  return `${unit.padEnd(34)} ${String(processes).padStart(3)} processes  ${verdict}`;
}

async function main(options: readonly string[], { debian }: { readonly debian: DebianRelease }): Promise<void> {
  const onStep = (step: string) => process.stderr.write(`${step}\n`);
  const stock = stockServices(debian);
  await using machine = await NamespaceMachine.make({ ...stock.machine, onStep });
  onStep("boot");
  onStep(`The system is ${await machine.boot()}.`);
  const units = [...new Set([...stock.units, ...(await runningServices(machine))])].sort();
  let yes = 0;
  for (const unit of units) {
    const verdict = await surveyUnit(machine, unit, options);
    if (verdict.status === 0) yes += 1;
    process.stdout.write(`${verdictLine(verdict)}\n`);
  }
  process.stdout.write(`${yes} of ${units.length} services would freeze\n`);
}

const program = new Command("npm run units --")
  .description("Says of each of Debian's stock services, all on one machine, whether it would freeze.")
  .addOption(new Option("--debian <release>", "which Debian").choices(Object.keys(DEBIAN_SUITES)).default("12"))
  .argument("[options...]", "further options, which kmonte check gets")
  .allowUnknownOption()
  .action(main);

if (import.meta.main) {
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
    process.exitCode = EXIT_STATUS[error.kind];
  }
}
