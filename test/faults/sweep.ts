/**
 * Takes a program through freezes and thaws in which one step goes wrong each time, and looks afterwards: the program
 * runs unharmed, or its image is complete and thaws. Never neither, never both, and nothing of ours is left behind.
 *
 * Runs under `node --import ./inject.ts`; see run.ts.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { freeze, thaw } from "../../src/index.ts";
import { childrenOf } from "../../src/proc/read.ts";
import { compile, Program, until } from "../harness.ts";
import { KMONTE_OF_SOURCES } from "../kmonte.ts";
import { describe, environmentOf, tally, type Fault } from "./faults.ts";

const INJECT = join(import.meta.dirname, "inject.ts");
const PATIENCE_MS = 20_000;

/** What is counted and checked. */
export interface Tally {
  runs: number;
  /** The step was reached. */
  hits: number;
  /** kmonte went on in spite of it. */
  tolerated: number;
  readonly failures: string[];
}

export class Sweep {
  readonly tally: Tally = { runs: 0, hits: 0, tolerated: 0, failures: [] };
  readonly #source: string;
  readonly #log: (text: string) => void;
  #program: Program | undefined;
  #before: string | undefined;
  /** Runs of kmonte that might leave something. */
  readonly #ours = new Set([process.pid]);

  constructor(source: string, log: (text: string) => void) {
    this.#source = source;
    this.#log = log;
  }

  /** The steps of a freeze that ends its processes, and those of the thaw after it. */
  async count(): Promise<{ freeze: Map<string, number>; thaw: Map<string, number> }> {
    const program = await this.#alive();
    const image = join(program.directory, "image");
    const frozen = await counted(program, () => freeze({ pids: [program.pid], directory: image, end: "kill" }));
    const thawed = await counted(undefined, () => thaw({ directory: image }));
    rmSync(image, { recursive: true });
    return { freeze: frozen, thaw: thawed };
  }

  /** One freeze with one fault. */
  async freezeWith(fault: Fault): Promise<void> {
    const program = await this.#alive();
    const image = join(program.directory, "image");
    await this.#guarded(`freeze, ${describe(fault)}`, async () => {
      const pids = livingSet(program.pid);
      const victim = pids.at(-1) ?? program.pid;
      const { hit, error } = await this.#withFault(fault, program, victim, () =>
        freeze({ pids: [program.pid], directory: image, end: "kill" }),
      );
      if (fault.kind === "end" && hit) return await this.#afterDeath(program, pids, image, error);
      if (fault.kind === "kill") await until(() => !isHeld(pids), "the kernel to let the program go", PATIENCE_MS);
      // What gives the image its name and ends the processes is a program of its own, and outlives kmonte by a moment.
      if (fault.kind === "kill") await setTimeout(300);
      const living = await settled(pids, existsSync(image) ? [] : pids);
      if (existsSync(image)) {
        assert.deepEqual(living, [], `the image is there, and so are processes: ${statusOf(living[0] ?? 0)}`);
        await idsFree(pids);
        await thaw({ directory: image });
      } else {
        assert.deepEqual(living, pids, "no image, and processes are gone");
        if (fault.kind !== "kill") assert.ok(error, "no image, and no failure");
      }
      await this.#assertUnharmed(program);
      if (fault.kind === "kill") removePartial(program);
      this.#assertTidy(program, image);
    });
    rmSync(image, { recursive: true, force: true });
  }

  /** One thaw with one fault, of an image that stays. */
  async thawWith(fault: Fault): Promise<void> {
    const program = await this.#alive();
    const image = join(program.directory, "image");
    await this.#guarded(`thaw, ${describe(fault)}`, async () => {
      const pids = livingSet(program.pid);
      await freeze({ pids: [program.pid], directory: image, end: "kill" });
      await idsFree(pids);
      const before = readdirSync(program.directory).sort();
      const { error } = await this.#withFault(fault, undefined, pids.at(-1) ?? 0, () => thaw({ directory: image }));
      if (fault.kind === "kill") await until(() => !isHeld(pids), "half-made processes to go", PATIENCE_MS);
      const living = await settled(pids, error === undefined || released(image) ? pids : []);
      if (fault.kind === "end" && !error) return this.#drop(program);
      // A kill right at the end comes too late: all go on already.
      const late = fault.kind === "kill" && living.length > 0;
      if (!late && (error || living.length === 0)) {
        assert.deepEqual(living, [], `the thaw failed, and processes are left: ${String(error)}`);
        assert.deepEqual(readdirSync(program.directory).sort(), before, "files are left of a thaw that failed");
        await idsFree(pids);
        // Killed right after it had made its entry in the register, nobody knows.
        await thaw({ directory: image, again: fault.kind === "kill" });
        await this.#assertUnharmed(program);
      } else {
        assert.deepEqual(living, pids, "half of the processes are there");
        await this.#assertUnharmed(program);
        this.#assertTidy(program, image);
        // Nothing was said: then nothing may be wrong.
        if (fault.kind === "fail") return await this.finish();
      }
      this.#assertTidy(program, image);
    });
    rmSync(image, { recursive: true, force: true });
  }

  /** Asks the program itself whether it noticed anything, and ends it. */
  async finish(): Promise<void> {
    const program = this.#program;
    if (!program) return;
    this.#program = undefined;
    await using _ = program;
    process.kill(program.pid, "SIGTERM");
    await program.waitFor(/^(PASS|FAIL.*)$/m);
    assert.match(program.output, /^PASS$/m, program.output);
  }

  /** Ends the program and leaves nothing behind. */
  async abandon(): Promise<void> {
    if (this.#program) await this.#drop(this.#program);
  }

  async #alive(): Promise<Program> {
    if (!this.#program) {
      const command = this.#source.endsWith(".py") ? "/usr/bin/python3" : compile(this.#source);
      const args = this.#source.endsWith(".py") ? [join(import.meta.dirname, "../programs", this.#source)] : ["1"];
      this.#program = Program.start(command, args);
      await this.#program.waitFor(/^READY$/m);
      this.#before = await steadyAppearance(this.#program.pid);
    }
    return this.#program;
  }

  async #drop(program: Program): Promise<void> {
    if (this.#program === program) this.#program = undefined;
    for (const pid of setOf(program.pid)) killQuietly(pid);
    await program[Symbol.asyncDispose]();
  }

  /** Runs what is to be tested; whatever it finds is written down, and the next fault gets a new program. */
  async #guarded(name: string, action: () => Promise<void>): Promise<void> {
    const { failures } = this.tally;
    try {
      await action();
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      this.#log(failures.at(-1) ?? "");
      if (this.#program) await this.#drop(this.#program);
    }
  }

  async #withFault(
    fault: Fault,
    program: Program | undefined,
    victim: number,
    action: () => Promise<unknown>,
  ): Promise<{ hit: boolean; error: unknown }> {
    const directory = (this.#program as Program).directory;
    const hitFile = join(directory, "hit");
    const variables = {
      KMONTE_FAULT: environmentOf(fault, victim),
      KMONTE_FAULT_HIT: hitFile,
      KMONTE_FAULT_AFTER: String(program?.pid ?? 0),
    };
    let error: unknown;
    if (fault.kind === "kill") {
      const image = join(directory, "image");
      const args = program ? ["freeze", String(program.pid), "-o", image] : ["thaw", image];
      const env = { ...process.env, ...variables, NODE_OPTIONS: `--import ${INJECT}` };
      const { status, stderr, pid } = spawnSync(KMONTE_OF_SOURCES, args, { env, timeout: 20_000, encoding: "utf8" });
      if (status !== 0) error = stderr;
      this.#ours.add(pid);
    } else {
      Object.assign(process.env, variables);
      try {
        await within(action());
      } catch (cause) {
        error = cause;
        // A person must be told in words, not by a stack.
        assert.ok((cause as { code?: string }).code, `a defect: ${(cause as Error).stack}`);
      } finally {
        for (const name of Object.keys(variables)) delete process.env[name];
      }
    }
    const hit = existsSync(hitFile);
    rmSync(hitFile, { force: true });
    this.tally.runs += 1;
    this.tally.hits += Number(hit);
    this.tally.tolerated += Number(hit && fault.kind === "fail" && error === undefined);
    return { hit, error };
  }

  /** One of the set died by itself: an image that came about all the same must be whole; the others are unharmed. */
  async #afterDeath(program: Program, pids: readonly number[], image: string, error: unknown): Promise<void> {
    assert.equal(existsSync(image), error === undefined);
    const held = setOf(program.pid).filter((pid) => isHeld([pid]));
    assert.deepEqual(held, [], "processes are still held");
    if (error === undefined) {
      await idsFree(pids);
      await thaw({ directory: image });
    }
    this.#assertTidy(program, image);
    await this.#drop(program);
  }

  async #assertUnharmed(program: Program): Promise<void> {
    // Right after it goes on, a call that waits with another signal mask may not have begun to wait again.
    for (let looks = 0; looks < 100 && appearance(program.pid) !== this.#before; looks += 1) await setTimeout(10);
    assert.equal(appearance(program.pid), this.#before, "the program does not look as before");
  }

  #assertTidy(program: Program, image: string): void {
    const left = readdirSync(program.directory).filter((name) => name.startsWith(".image"));
    assert.deepEqual(left, [], "something is left beside the image");
    const rules = [...this.#ours].flatMap((pid) => tablesOf(pid));
    assert.deepEqual(rules, [], "rules are left");
    rmSync(image, { recursive: true, force: true });
  }
}

/** A freeze or thaw that hangs is a failure as well. */
async function within<T>(promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = setTimeout(30_000, undefined, { signal: timer.signal }).then(
    () => Promise.reject(new Error("it hangs")),
    () => promise,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

async function counted(program: Program | undefined, action: () => Promise<unknown>): Promise<Map<string, number>> {
  const file = join(process.env["TMPDIR"] ?? "/tmp", `kmonte-steps-${process.pid}`);
  process.env["KMONTE_FAULT"] = `count:${file}`;
  process.env["KMONTE_FAULT_AFTER"] = String(program?.pid ?? 0);
  try {
    await action();
    return tally(readFileSync(file, "utf8").trimEnd().split("\n"));
  } finally {
    delete process.env["KMONTE_FAULT"];
    delete process.env["KMONTE_FAULT_AFTER"];
    rmSync(file, { force: true });
  }
}

/** The process and everything below it, parents first. */
function setOf(pid: number): number[] {
  if (!existsSync(`/proc/${pid}`)) return [];
  return [pid, ...childrenOf(pid).flatMap((child) => setOf(child))];
}

/** One that has gone since the last fault is a failure of its own; and to end "the last of none" would be to end ourselves. */
function livingSet(pid: number): number[] {
  const pids = setOf(pid);
  assert.ok(pids.length > 0, "the program has ended since the fault before");
  return pids;
}

function statusOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return undefined;
  }
}

/** The thaw came to the point where it lets the processes go on. */
function released(image: string): boolean {
  return existsSync(join(image, "thawed.json"));
}

/** Who lives, after some patience for the wished ones: ended children of ours stay until Node has heard of their end. */
async function settled(pids: readonly number[], wished: readonly number[]): Promise<number[]> {
  const living = (): number[] => pids.filter((pid) => isAlive(pid));
  const deadline = Date.now() + PATIENCE_MS;
  while (living().join() !== wished.join() && Date.now() < deadline) await setTimeout(5);
  return living();
}

/** What has ended and waits for init to take note of it is not alive, though its id is still taken. */
function isAlive(pid: number): boolean {
  const status = statusOf(pid);
  return status !== undefined && !/^State:\s+[ZX]/m.test(status);
}

/** Some inits take their time to take note of orphans that have ended. */
async function idsFree(pids: readonly number[]): Promise<void> {
  await until(() => pids.every((pid) => statusOf(pid) === undefined), "ids to be free again", 60_000);
}

/** Traced, or stopped by a tracer. */
function isHeld(pids: readonly number[]): boolean {
  return pids.some((pid) => /^TracerPid:\s+[1-9]|^State:\s+t/m.test(statusOf(pid) ?? ""));
}

/** What can be seen of a set from outside and must not change: memory map, descriptors, masks, who traces it. */
function appearance(root: number): string {
  return setOf(root)
    .map((pid) => {
      const status = statusOf(pid) ?? "";
      const picked = status
        .split("\n")
        .filter((line) => /^(Name|TracerPid|SigPnd|SigBlk|SigIgn|SigCgt|Shd|Threads|Uid|Seccomp|NSpid)/.test(line));
      return [pid, ...picked, ...mapsOf(pid), ...descriptorsOf(pid)].join("\n");
    })
    .join("\n\n");
}

/** After it has said that it is ready, a program still has to begin to wait. */
async function steadyAppearance(root: number): Promise<string> {
  for (;;) {
    const first = appearance(root);
    await setTimeout(20);
    if (appearance(root) === first) return first;
  }
}

/**
 * Heap and stack grow. A kill -9 in the middle of a look may leave the one page of code from which calls were made, and
 * behind it the rooms for several threads: they are known, harmless, and the only thing that stays.
 */
function mapsOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").trimEnd().split("\n");
  const isOurs = (line: string | undefined): boolean => / r-xp 0+ 00:00 0 *$/.test(line ?? "");
  const isRoom = (line: string, before: string | undefined): boolean =>
    isOurs(before) && / rw-p 0+ 00:00 0 *$/.test(line) && line.startsWith(`${/-(\S+)/.exec(before ?? "")?.[1]}-`);
  return lines
    .filter((line, i) => !isOurs(line) && !isRoom(line, lines[i - 1]))
    .filter((line) => !/\[(heap|stack|vvar|vdso|vvar_vclock)\]/.test(line))
    .map((line) => line.slice(0, 32));
}

function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
    return `${fd} ${target.replace(/\[\d+\]/, "[]")}`;
  });
}

/** Tables of packet filter rules have the pid of the kmonte that made them in their names. */
function tablesOf(pid: number): string[] {
  const tables = execFileSync("nft", ["list", "tables"], { encoding: "utf8" });
  return tables.split("\n").filter((line) => line.includes(`kmonte-`) && line.includes(`-${pid}-`));
}

/** After a kill -9 the unfinished image stays; the next freeze to the same place takes it away. */
function removePartial(program: Program): void {
  for (const name of readdirSync(program.directory)) {
    if (name.startsWith(".image.partial-")) rmSync(join(program.directory, name), { recursive: true });
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

mkdirSync(process.env["TMPDIR"] ?? "/tmp", { recursive: true });
