/**
 * Running a command outside of the session that it was typed in, when that session is to be frozen itself: nobody can
 * stop the process that he is a child of. A transient service of systemd's does the work; what it prints is shown here,
 * before the freeze and, as this process is thawed with its session, after it.
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { failures } from "../errors/catalogue.ts";
import { presentBoot } from "../sys/boot.ts";
import { readStat } from "../proc/read.ts";
import { isOfSystem, pidsOf, type RunningUnit } from "../units/survey.ts";

/** On a disk: this process reads on after the boot. */
const DIRECTORY = "/var/lib/kmonte/outside";
/** Tells the command that it runs outside already. */
const MARK = "KMONTE_OUTSIDE";
const PAUSE_MS = 50;
/** Meant for the command; as at a terminal, a second one ends it at once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** From the end of the service to the end of the wait for its last words, in milliseconds. */
const LAST_WORDS_MS = 2000;

/** Whether kmonte runs in one of the units that are to be looked at or frozen, which it can do from outside of it alone. */
export function isInTheWay(units: readonly RunningUnit[]): boolean {
  if (process.env[MARK] !== undefined) return false;
  const pids = new Set(units.filter(({ unit }) => !isOfSystem(unit)).flatMap(pidsOf));
  for (let at: number | undefined = process.pid; at !== undefined && at > 0; at = readStat(at)?.ppid)
    if (pids.has(at)) return true;
  return false;
}

/** Runs this very command outside, with more arguments, and takes over its exit status. */
export async function rerunOutside(more: readonly string[] = []): Promise<Outcome> {
  const outcome = await runOutside([...process.argv.slice(2), ...more]);
  if (outcome.status !== undefined) process.exitCode = outcome.status;
  return outcome;
}

export interface Outcome {
  /** The exit status of the command; undefined when the machine was left meanwhile and has booted. */
  readonly status: number | undefined;
}

/** Runs `kmonte ARGS` outside and shows what it prints, until it ends or this process finds itself in another boot. */
async function runOutside(args: readonly string[]): Promise<Outcome> {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(DIRECTORY, "run-"));
  const unit = `kmonte-${process.pid}.service`;
  const boot = presentBoot();
  const onSignal = (signal: NodeJS.Signals): void =>
    void spawnSync("systemctl", ["kill", `--signal=${signal}`, unit], { stdio: "ignore" });
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    start(unit, folder, args);
    using out = new Tail(join(folder, "out"), process.stdout);
    using err = new Tail(join(folder, "err"), process.stderr);
    const show = (): boolean => [out, err].map((tail) => tail.show()).includes(true);
    for (;;) {
      show();
      if (presentBoot() !== boot) return { status: undefined };
      const status = statusIn(folder);
      if (status !== undefined) {
        const end = Date.now() + LAST_WORDS_MS;
        while (show() && Date.now() < end);
        return { status };
      }
      await delay(PAUSE_MS);
    }
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(unit: string, folder: string, args: readonly string[]): void {
  const [node = "node", main = ""] = [process.execPath, process.argv[1]];
  // Its own end tells the status: systemd removes what it knows of a transient service.
  const script = `trap : INT TERM HUP; "$@"; echo $? >"$0"`;
  const command = ["/bin/sh", "-c", script, join(folder, "status"), node, ...process.execArgv, main, ...args];
  const properties = [
    `--property=StandardOutput=file:${join(folder, "out")}`,
    `--property=StandardError=file:${join(folder, "err")}`,
    "--property=KillMode=process",
    `--setenv=${MARK}=1`,
    ...["KMONTE_KEYS", "KMONTE_SOCKET", "NODE_COMPILE_CACHE", "PATH"].flatMap((name) =>
      process.env[name] === undefined ? [] : [`--setenv=${name}=${process.env[name]}`],
    ),
    `--working-directory=${process.cwd()}`,
  ];
  const run = spawnSync("systemd-run", ["--quiet", "--collect", `--unit=${unit}`, ...properties, "--", ...command], {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (run.status === 0) return;
  throw failures.NOT_OUTSIDE({ said: run.error?.message ?? run.stderr.trim() });
}

function statusIn(folder: string): number | undefined {
  const path = join(folder, "status");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text.endsWith("\n") ? Number(text) : undefined;
}

/** Shows what is added to a file. */
class Tail implements Disposable {
  readonly #path: string;
  readonly #to: NodeJS.WriteStream;
  #fd: number | undefined;

  constructor(path: string, to: NodeJS.WriteStream) {
    this.#path = path;
    this.#to = to;
  }

  /** Whether there was anything. */
  show(): boolean {
    if (this.#fd === undefined && existsSync(this.#path)) this.#fd = openSync(this.#path, "r");
    if (this.#fd === undefined) return false;
    const bytes = Buffer.alloc(65_536);
    const got = readSync(this.#fd, bytes);
    if (got > 0) this.#to.write(bytes.subarray(0, got));
    return got > 0;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}
