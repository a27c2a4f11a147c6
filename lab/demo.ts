/** `npm start`: another kernel under live programs, in a virtual machine that is thrown away afterwards. */
import { setTimeout as delay } from "node:timers/promises";
import { Command, Option } from "commander";
import { Listr } from "listr2";
import { EXIT_STATUS, KmonteError } from "../src/lib/errors.ts";
import { formatReport, type SwapReport } from "../src/swap/report.ts";
import { Clients } from "./clients.ts";
import { type Evidence, observe } from "./evidence.ts";
import { swapCommand, swapInGuest } from "./guest-swap.ts";
import { type Check, judge } from "./judge.ts";
import { KERNEL_SUITES } from "./kernel-packages.ts";
import { Machine } from "./machine.ts";
import { PORTS, startWorkloads, type Workloads } from "./workloads.ts";

interface DemoOptions {
  readonly from: string;
  readonly to: string;
  readonly data: string;
  readonly json: boolean;
}

/** Filled in step by step. */
interface Demo {
  machine?: Machine;
  workloads?: Workloads;
  clients?: Clients;
  before?: Evidence;
  report?: SwapReport;
  checks?: Check[];
}

/** How long the programs run before the swap and after it. */
const RUN_MS = 4_000;

const versions = Object.keys(KERNEL_SUITES);
const program = new Command("npm start --")
  .description("Boots a virtual machine, changes the kernel under the programs in it, and checks that none noticed.")
  .addOption(new Option("--from <version>", "the kernel to begin with").choices(versions).default("6.1"))
  .addOption(new Option("--to <version>", "the kernel to go to").choices(versions).default("6.12"))
  .option("--data <MiB>", "how much data redis holds", "208")
  .option("--json", "print the result as one JSON object, and no progress", false)
  .action(main);

async function main(options: DemoOptions): Promise<void> {
  const demo: Demo = {};
  try {
    await stages(demo, options).run();
  } finally {
    demo.clients?.[Symbol.dispose]();
    await demo.machine?.[Symbol.asyncDispose]();
  }
  const { report, checks } = demo;
  if (!report || !checks) throw new Error("the demonstration has no result");
  const ok = checks.every((check) => check.ok);
  process.stdout.write(
    options.json ? `${JSON.stringify({ ok, checks, report }, null, 2)}\n` : result(report, checks, ok),
  );
  process.exitCode = ok ? 0 : EXIT_STATUS.failed;
}

type Stage = (demo: Demo, say: (text: string) => void) => Promise<unknown>;

function stages(demo: Demo, options: DemoOptions): { run(): Promise<unknown> } {
  const stage = (title: string, work: Stage) => ({
    title,
    task: (_: unknown, task: { output: string }) => work(demo, (text) => (task.output = text)),
  });
  const tasks = [
    stage(`Debian with Linux ${options.from} in a virtual machine`, async (it, say) => {
      it.machine = await Machine.boot({
        kernel: options.from,
        kernels: [options.to],
        ports: Object.values(PORTS),
        onStep: say,
      });
    }),
    stage("programs at work in it, clients outside", async (it, say) => {
      it.workloads = await startWorkloads(there(it.machine), { mebibytes: Number(options.data), onStep: say });
      it.clients = new Clients(there(it.machine), it.workloads);
      await delay(RUN_MS);
      say("taking down how they are");
      it.before = await observe(there(it.machine), it.workloads);
    }),
    stage(`the kernel changes to ${options.to} under them`, async (it, say) => {
      const pids = Object.values(there(it.workloads).pids);
      say(swapCommand(options.to, pids).join(" "));
      it.report = await swapInGuest(there(it.machine), { to: options.to, pids, onLine: say });
    }),
    stage("checking that none of them noticed", async (it, say) => {
      await delay(RUN_MS);
      say("taking down how they are");
      const after = await observe(there(it.machine), there(it.workloads));
      say("asking the clients");
      const outside = await there(it.clients).finish(there(it.report).gapSeconds ?? 0);
      it.checks = [...judge(there(it.before), after, options.to), ...outside];
    }),
  ];
  const rendererOptions = { collapseErrors: false, timer: TIMER };
  return options.json
    ? new Listr(tasks, { renderer: "silent" })
    : new Listr(tasks, {
        renderer: "default",
        fallbackRenderer: "verbose",
        rendererOptions,
        fallbackRendererOptions: { timer: TIMER },
      });
}

const TIMER = {
  condition: true,
  field: (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`,
  format: () => (text?: string) => text ?? "",
};

function result(report: SwapReport, checks: readonly Check[], ok: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map((check) => `  ${check.ok ? "ok " : "NOT"}  ${check.name.padEnd(width)}  ${check.detail}`);
  const verdict = ok ? "Nothing was lost and nobody noticed." : "Not everything held: see the lines with NOT.";
  return `\n${formatReport(report)}\n${lines.join("\n")}\n\n${verdict}\n`;
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a stage of the demonstration left nothing for the next one");
  return value;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof KmonteError)) throw error;
  const asJson = program.opts<DemoOptions>().json;
  const text = [error.what, error.why, error.remedy].filter(Boolean).join("\n");
  if (asJson) process.stdout.write(`${JSON.stringify({ ok: false, error }, null, 2)}\n`);
  else process.stderr.write(`\n${text}\n`);
  process.exitCode = EXIT_STATUS[error.kind];
}
