/** The clients outside the guest, on connections over the virtual network that must not notice a change of kernel. */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientResult } from "./clients/client.ts";
import type { Check } from "./judge.ts";
import { atEnd, temporaryDirectory } from "./lifetime.ts";
import type { Machine } from "./machine.ts";
import type { Login } from "./login.ts";
import { PORTS } from "./places.ts";
import { PERSON, type Services } from "./services.ts";

interface Client {
  readonly name: string;
  readonly child: ChildProcess;
  /** When it has its connection and the first answers. */
  readonly atWork: Promise<void>;
  readonly result: Promise<ClientResult>;
}

/** Clients at work. They end with their scope. */
export class Clients implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #clients: Client[] = [];

  constructor(machine: Machine, { download, certificate }: Services, login: Login) {
    const { path } = this.#stack.use(temporaryDirectory("kmonte-clients-"));
    const pinned = join(path, "certificate.pem");
    writeFileSync(pinned, certificate);
    const start = (name: string, program: string, port: number, six: boolean, ...args: string[]): void => {
      const to = machine.wire.reach(port, six);
      this.#start(machine, name, program, [to.host, String(to.port), ...args]);
    };
    start("redis client", "redis.ts", PORTS.redis, false);
    start("download", "download.ts", PORTS.http, false, download.path, download.sha256);
    start("TLS session", "tls.ts", PORTS.https, true, pinned);
    start("ssh session", "ssh.ts", PORTS.ssh, false, login.keyFile, PERSON);
  }

  #start(machine: Machine, name: string, program: string, args: readonly string[]): void {
    const script = join(import.meta.dirname, "clients", program);
    const [command, all] = machine.wire.inside(
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      script,
      ...args,
    );
    const child = spawn(command, all, { stdio: ["pipe", "pipe", "pipe"] });
    this.#stack.use(atEnd(() => child.kill("SIGKILL")));
    this.#clients.push({ name, child, atWork: firstLine(child), result: resultOf(child) });
  }

  /** Waits until each has its connection and the first answers, or has ended. */
  async atWork(): Promise<void> {
    await Promise.all(this.#clients.map(({ atWork }) => atWork));
  }

  /** Lets them come to their end and judges what they saw; none may have waited for much longer than the machine. */
  async finish(gapSeconds: number): Promise<Check[]> {
    for (const { child } of this.#clients) child.stdin?.end();
    const results = this.#clients.map(async ({ name, result }) => {
      const { ok, detail, longestPause } = await result;
      const pause = `longest pause ${longestPause.toFixed(2)} s, the machine was paused for ${gapSeconds.toFixed(2)} s`;
      const prompt = longestPause < gapSeconds * LONGER + SLACK_SECONDS;
      return { name: `${name} outside`, ok: ok && prompt, detail: `${detail}; ${pause}` };
    });
    return Promise.all(results);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** A peer that is left to its own pauses waits for up to twice as long as nobody answered. */
const LONGER = 1.25;
const SLACK_SECONDS = 3;

/** How long a client may take until it is at work; one that is not says why in the end. */
const FIRST_WORD_MS = 120_000;

/** How long a client may take to say what it saw. */
const LAST_WORD_MS = 180_000;

/** A client says on its standard error that it is at work. */
async function firstLine(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    child.stderr?.once("data", () => resolve());
    child.once("close", () => resolve());
    child.once("error", () => resolve());
    setTimeout(resolve, FIRST_WORD_MS).unref();
  });
}

async function resultOf(child: ChildProcess): Promise<ClientResult> {
  let said = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdin?.on("error", () => {});
  child.stdin?.once("finish", () => setTimeout(() => child.kill("SIGKILL"), LAST_WORD_MS).unref());
  await new Promise<void>((resolve) => {
    child.once("error", (error) => {
      errors += error.message;
      resolve();
    });
    child.once("close", () => resolve());
  });
  try {
    return JSON.parse(said) as ClientResult;
  } catch {
    return { ok: false, detail: `it ended without a result: ${errors.trim().slice(-400)}`, longestPause: 0 };
  }
}
