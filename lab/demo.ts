/** `npm start`: another kernel under the services of a server, in a virtual machine that is thrown away afterwards. */
import { setTimeout as delay } from "node:timers/promises";
import { Command, Option } from "commander";
import { Listr } from "listr2";
import { EXIT_STATUS, KmonteError } from "../src/errors/failure.ts";
import { formatReport, type SwapReport } from "../src/swap/report.ts";
import { DEBIAN_SUITES, type DebianRelease } from "./bootstrap.ts";
import { Clients } from "./clients.ts";
import { swapCommand, swapInGuest } from "./guest-swap.ts";
import type { Check } from "./judge.ts";
import { KERNEL_SUITES } from "./kernel-packages.ts";
import { Login } from "./login.ts";
import { Machine } from "./machine.ts";
import { PORTS } from "./places.ts";
import { openServices, type Services } from "./services.ts";
import { observeServer, type ServerEvidence } from "./unit-evidence.ts";
import { judgeServer } from "./unit-judge.ts";

interface DemoOptions {
  readonly debian: DebianRelease;
  readonly from?: string;
  readonly to?: string;
  readonly data: string;
  readonly json: boolean;
}

/** Filled in step by step. */
interface Demo {
  machine?: Machine;
  login?: Login;
  services?: Services;
  clients?: Clients;
  before?: ServerEvidence;
  report?: SwapReport;
  /** What systemctl status says of the units afterwards. */
  status?: string;
  checks?: Check[];
}

/** How long the services run before the swap and after it. */
const RUN_MS = 4_000;

/** The units that matter; ssh brings the person who is logged in. */
const UNITS = ["redis-server", "nginx", "ssh"];

/** The kernels of each Debian and of the next one, to go from and to. */
const KERNELS: Readonly<Record<DebianRelease, readonly [from: string, to: string]>> = {
  "12": ["6.1", "6.12"],
  "13": ["6.12", "7.2"],
};

const versions = Object.keys(KERNEL_SUITES);
const program = new Command("npm start --")
  .description(
    "Boots a Debian server in a virtual machine, changes the kernel under its services, and checks that none noticed.",
  )
  .addOption(new Option("--debian <release>", "which Debian").choices(Object.keys(DEBIAN_SUITES)).default("12"))
  .addOption(
    new Option("--from <version>", "the kernel to begin with (Debian 12: 6.1, Debian 13: 6.12)").choices(versions),
  )
  .addOption(new Option("--to <version>", "the kernel to go to (Debian 12: 6.12, Debian 13: 7.2)").choices(versions))
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
    demo.login?.[Symbol.dispose]();
  }
  const { report, checks, status = "" } = demo;
  if (!report || !checks) throw new Error("the demonstration has no result");
  const ok = checks.every((check) => check.ok);
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ok, checks, report, status }, null, 2)}\n`
      : result({ report, checks, status }, ok),
  );
  process.exitCode = ok ? 0 : EXIT_STATUS.failed;
}

type Stage = (demo: Demo, say: (text: string) => void) => Promise<unknown>;

function stages(demo: Demo, options: DemoOptions): { run(): Promise<unknown> } {
  const stage = (title: string, work: Stage) => ({
    title,
    task: (_: unknown, task: { output: string }) => work(demo, (text) => (task.output = text)),
  });
  const [from = "", to = ""] = [options.from, options.to].map((version, i) => version ?? KERNELS[options.debian][i]);
  const run = async (machine: Machine, argv: string[], say: (text: string) => void): Promise<string> => {
    say(argv.join(" "));
    return await machine.output(argv);
  };
  const tasks = [
    stage(`a Debian ${options.debian} server with Linux ${from} in a virtual machine`, async (it, say) => {
      it.machine = await Machine.boot({
        system: { debian: options.debian, kind: "server" },
        kernel: from,
        kernels: [to],
        ports: Object.values(PORTS),
        onStep: say,
      });
    }),
    stage("services at work in it, clients outside, a person logged in", async (it, say) => {
      it.login = await Login.make();
      const { publicKey } = it.login;
      it.services = await openServices(there(it.machine), { mebibytes: Number(options.data), publicKey, onStep: say });
      it.clients = new Clients(there(it.machine), it.services, it.login);
      await it.clients.atWork();
      await run(there(it.machine), ["kmonte", "protect", ...UNITS], say);
      await delay(RUN_MS);
      say("taking down how they are");
      it.before = await observeServer(there(it.machine), UNITS);
    }),
    stage(`the kernel changes to ${to} under them`, async (it, say) => {
      say(swapCommand(to).join(" "));
      it.report = await swapInGuest(there(it.machine), { to, onLine: say });
    }),
    stage("checking that none of them noticed", async (it, say) => {
      await delay(RUN_MS);
      it.status = await run(there(it.machine), ["systemctl", "status", "--no-pager", "--lines=3", ...UNITS], say);
      say("taking down how they are");
      const after = await observeServer(there(it.machine), UNITS);
      say("asking the clients");
      const outside = await there(it.clients).finish(there(it.report).gapSeconds ?? 0);
      it.checks = [...judgeServer(there(it.before), after, to), ...outside];
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

function result({ report, checks, status }: Required<Pick<Demo, "report" | "checks" | "status">>, ok: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map((check) => `  ${check.ok ? "ok " : "NOT"}  ${check.name.padEnd(width)}  ${check.detail}`);
  const verdict = ok ? "Nothing was lost and nobody noticed." : "Not everything held: see the lines with NOT.";
  return `\n${status}\n${formatReport(report)}\n${lines.join("\n")}\n\n${verdict}\n`;
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
