/**
 * The stress test: `node test/stress/run.ts [--programs N] [--cycles N] [--seed N]`. Random programs that combine many
 * kinds of things (stressor.py) are frozen, ended and thawed many times in a row at random moments; each says in the
 * end whether it saw a difference.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Program, until, type Engines } from "../harness.ts";
import { LastingEngines } from "./engines.ts";

const STRESSOR = join(import.meta.dirname, "stressor.py");

/** Everybody gets this long to end. */
const END_MS = 60_000;

export interface StressReport {
  readonly cycles: number;
  readonly failures: readonly string[];
}

/** Takes the program of one seed through `cycles` freezes and thaws. */
export async function stress(seed: number, cycles: number, engines: Engines): Promise<StressReport> {
  const program = Program.start("/usr/bin/python3", [STRESSOR, String(seed)], { PYTHONDONTWRITEBYTECODE: "1" });
  let done = 0;
  let last = "";
  try {
    await using _ = program;
    await program.waitFor(/^READY$/m);
    for (; done < cycles; done += 1) {
      await setTimeout(Math.random() * 100);
      const image = await program.roundTrip(engines).finally(() => (last = program.output));
      rmSync(image, { recursive: true });
      if (/^FAIL/m.test(program.output)) break;
    }
    process.kill(program.pid, "SIGTERM");
    await until(() => /^(PASS|FAIL.*)$/m.test(program.output) || !program.alive, "its end", END_MS).catch((error) => {
      throw new Error(`${error.message}\n${whereTheyStand(program.directory)}`);
    });
    last = program.output;
    const trouble = /^(FAIL.*|PASS)$/m.exec(last) ?? ["It ended without a word."];
    return { cycles: done, failures: trouble[0] !== "PASS" ? [`seed ${seed}, cycle ${done}: ${trouble[0]}`] : [] };
  } catch (error) {
    const { refusals = [] } = error as { refusals?: readonly Error[] };
    const text = [error as Error, ...refusals].map(({ message }) => message).join("\n  ");
    const said = last.replace(/^READY$/m, "").trim();
    return { cycles: done, failures: [`seed ${seed}, cycle ${done}: ${text}${said && `\n  ${said}`}`] };
  }
}

/** The processes of a program's directory, and the system call that each of their threads is in. */
function whereTheyStand(directory: string): string {
  const lines: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readlinkSync(`/proc/${pid}/cwd`).startsWith(directory)) continue;
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        const task = `/proc/${pid}/task/${tid}`;
        lines.push(
          `  ${pid}/${tid} ${readFileSync(`${task}/stat`, "utf8").split(" ").slice(1, 4).join(" ")} ${readFileSync(`${task}/syscall`, "utf8")}`.trimEnd(),
        );
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return lines.join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      programs: { type: "string", default: "20" },
      cycles: { type: "string", default: "20" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  await using engines = new LastingEngines();
  let cycles = 0;
  let failed = 0;
  for (let i = 0; i < Number(values.programs); i += 1) {
    const report = await stress(Number(values.seed) + i, Number(values.cycles), engines);
    cycles += report.cycles;
    failed += report.failures.length;
    for (const failure of report.failures) process.stdout.write(`${failure}\n`);
  }
  process.stdout.write(`${values.programs} programs from seed ${values.seed}: ${cycles} cycles, ${failed} failures\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) await main();
