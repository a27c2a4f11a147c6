/** Starting real programs, apart from the test's own session, and taking them through freeze and thaw. */
import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freeze, thaw } from "./kmonte-library.ts";
import { readStat } from "../src/proc/read.ts";

// Tests sign with a key of their own, and leave the machine's alone.
process.env["KMONTE_KEYS"] ??= new URL("../.cache/test-keys/", import.meta.url).pathname;

const PROGRAMS = new URL("programs/", import.meta.url).pathname;
const BUILD = new URL("../.cache/test-programs/", import.meta.url).pathname;
const PATIENCE_MS = 20_000;
/** Starts a program in a container of a user namespace, whose ids begin here on the machine. */
const IN_USER = new URL("fixtures/in-user-namespace.py", import.meta.url).pathname;
const FIRST_ID = "100000";
/** Starts a program below an init of its own, in a root file system of its own. */
const CONTAINER = new URL("fixtures/container.c", import.meta.url).pathname;

/** What a container is like. */
export interface Container {
  /** Its ids belong to a user namespace of its own. */
  readonly user: boolean;
  /** Its root is a folder of the machine, or a tmpfs that only the container sees. */
  readonly root: "folder" | "tmpfs";
}

/** Options of unshare(1) that are not called as the namespace is. */
const UNSHARE: Readonly<Record<string, readonly string[]>> = { mnt: ["--mount"], pid: ["--pid", "--fork"] };

/** Who freezes and thaws. */
export interface Engines {
  freeze(pids: readonly number[], directory: string): Promise<{ processes: readonly { pid: number }[] }>;
  thaw(directory: string): Promise<unknown>;
}

/** As those who use kmonte as a library do: engines of their own each time. */
const LIBRARY: Engines = {
  freeze: (pids, directory) => freeze({ pids, directory, end: "kill" }),
  thaw: (directory) => thaw({ directory }),
};

/** Compiles a C program of test/programs when it is newer than its last build; returns the path of the executable. */
export function compile(source: string): string {
  mkdirSync(BUILD, { recursive: true });
  // A path of its own leaves the folder.
  const from = resolve(PROGRAMS, source);
  const to = join(BUILD, basename(source, ".c"));
  const headers = readdirSync(PROGRAMS).filter((name) => name.endsWith(".h"));
  const newest = Math.max(...[from, ...headers].map((name) => statSync(resolve(PROGRAMS, name)).mtimeMs));
  if (!existsSync(to) || statSync(to).mtimeMs < newest) {
    const extra = directive(readFileSync(from, "utf8"), "cflags")?.split(" ") ?? [];
    execFileSync("gcc", ["-O1", "-g", "-Wall", "-pthread", "-o", to, from, ...extra, "-lrt"], { stdio: "inherit" });
  }
  return to;
}

/** The rest of a line `name: …` in a program's first comment. */
export function directive(source: string, name: string): string | undefined {
  return new RegExp(`^[ #/*]*kmonte-${name}: *(.*?)(?: *\\*/)?$`, "m").exec(source)?.[1];
}

/** A program that was started for a test, in a session of its own, and that is gone when the test ends. */
export class Program implements AsyncDisposable {
  readonly pid: number;
  readonly directory: string;
  /** It was started through unshare(1), which is its parent when it has a pid namespace of its own. */
  #inside = false;
  /** Where it writes, as we see it. */
  #output: string;
  readonly #extraPids = new Set<number>();

  private constructor(pid: number, directory: string) {
    this.pid = pid;
    this.directory = directory;
    this.#output = join(directory, "output");
  }

  /** Starts it with nothing on standard input and its output in a file. */
  static start(command: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Program {
    const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
    // Whoever stays outside may write there too: by appending, neither disturbs the other.
    const output = openSync(join(directory, "output"), "a");
    const child = spawn(command, args, {
      detached: true,
      stdio: ["ignore", output, output],
      cwd: directory,
      env: { ...process.env, ...env },
    });
    closeSync(output);
    child.unref();
    if (child.pid === undefined) throw new Error(`${command} did not start`);
    return new Program(child.pid, directory);
  }

  /** Starts it in new namespaces: names as /proc/PID/ns has them. */
  static startInside(namespaces: readonly string[], command: string, args: readonly string[] = []): Program {
    if (namespaces.includes("user")) {
      const starter = Program.start("/usr/bin/python3", [IN_USER, FIRST_ID, command, ...args]);
      // Those who wait for it go by themselves when it has ended.
      return new Program(firstChild(firstChild(starter.pid)), starter.directory);
    }
    const options = namespaces.flatMap((name) => UNSHARE[name] ?? [`--${name}`]);
    const both = namespaces.includes("pid") && namespaces.includes("mnt") ? ["--mount-proc"] : [];
    const lo = namespaces.includes("net") ? ["sh", "-c", 'ip link set lo up; exec "$0" "$@"'] : [];
    const program = Program.start("/usr/bin/unshare", [...options, ...both, "--", ...lo, command, ...args]);
    program.#inside = namespaces.includes("pid");
    return program;
  }

  /** Starts it in a container, whose init is what {@link pid} tells. */
  static startContained(like: Container, command: string, args: readonly string[] = []): Program {
    const first = like.user ? FIRST_ID : "0";
    const folder = like.root === "folder" ? "root" : "-";
    const starter = Program.start(compile(CONTAINER), ["--", folder, first, command, ...args]);
    const program = new Program(firstChild(starter.pid), starter.directory);
    program.#inside = true;
    if (like.root === "folder") program.#output = join(starter.directory, "root/output");
    return program;
  }

  /** The program itself, where {@link pid} may be unshare(1), its parent. */
  get target(): number {
    if (!this.#inside) return this.pid;
    const [child] = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").trim().split(" ");
    return Number(child);
  }

  get output(): string {
    return existsSync(this.#output) ? readFileSync(this.#output, "utf8") : "";
  }

  get alive(): boolean {
    const stat = readStat(this.pid);
    // Other threads may go on when the first has ended.
    return stat !== undefined && (!/[ZX]/.test(stat.state) || stat.threads > 1);
  }

  /** Waits until the output matches. */
  async waitFor(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.output) || !this.alive, `${pattern} in the output of ${this.pid}`);
    if (!pattern.test(this.output)) throw new Error(`the program ended without ${pattern}:\n${this.output}`);
  }

  /** Freezes it to a fresh image, checks that it is gone, and thaws it. Returns the image's directory. */
  async roundTrip(engines: Engines = LIBRARY): Promise<string> {
    const directory = await this.freeze(engines);
    await engines.thaw(directory);
    return directory;
  }

  async freeze(engines: Engines = LIBRARY): Promise<string> {
    const directory = mkdtempSync(join(this.directory, "image-"));
    const set = await engines.freeze([this.pid], directory);
    for (const { pid } of set.processes) this.#extraPids.add(pid);
    await until(() => !existsSync(`/proc/${this.pid}`) || !this.alive, `the end of ${this.pid}`);
    await until(() => set.processes.every(({ pid }) => !existsSync(`/proc/${pid}`)), "the ids to be free again");
    return directory;
  }

  /** Ends it, with everything that was frozen with it, and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of [this.pid, ...this.#extraPids]) {
      for (const target of [-pid, pid]) {
        try {
          process.kill(target, "SIGKILL");
        } catch {
          // Gone already.
        }
      }
    }
    await until(() => !this.alive, `the end of ${this.pid}`);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits until a process has a child. */
function firstChild(pid: number): number {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    if (child) return Number(child);
    if (Date.now() > deadline) throw new Error(`waited in vain for a child of ${pid}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}

/** Waits for something to become true; fails with `what` after a while. */
export async function until(condition: () => boolean, what: string, patience: number = PATIENCE_MS): Promise<void> {
  const deadline = Date.now() + patience;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${patience} ms in vain for ${what}`);
    await sleep(5);
  }
}
