/** The two that are measured: kmonte from this checkout, and criu from a newer Debian. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { runTool } from "../lab/tool.ts";
import { DEBIAN_KEYRING, debianMirror } from "../lab/mirror.ts";

/** Milliseconds. */
interface FreezeTimes {
  readonly wall: number;
  /** From the first process's stop to the end of the last, as the tool itself takes it. */
  readonly frozen: number;
}

export interface Tool {
  readonly name: string;
  freeze(pid: number, directory: string, options: readonly string[]): FreezeTimes;
  thaw(directory: string, options: readonly string[]): number;
}

const KMONTE = new URL("../bin/kmonte", import.meta.url).pathname;
const CRIU_ROOT = new URL("../.cache/bench/criu-root", import.meta.url).pathname;
const CRIU_SUITE = "trixie";
const PATIENCE_MS = 120_000;

function timed(command: string, args: readonly string[]): { wall: number; output: string } {
  const start = performance.now();
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: PATIENCE_MS,
    stdio: [...stdio],
  });
  const wall = performance.now() - start;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  return { wall, output: stdout };
}

export const kmonte: Tool = {
  name: "kmonte",
  freeze(pid, directory) {
    const { wall, output } = timed(KMONTE, ["freeze", String(pid), "-o", join(directory, "image"), "--json"]);
    const { steps } = JSON.parse(output) as { steps: { start: number; end: number; step: string }[] };
    if (process.env["KMONTE_STEPS"])
      console.error(steps.map(({ step, start, end }) => `${step} ${end - start}`).join(", "));
    const begin = steps.find(({ step }) => step === "stop")?.start ?? 0;
    return { wall, frozen: (steps.at(-1)?.end ?? 0) - begin };
  },
  thaw: (directory) => timed(KMONTE, ["thaw", join(directory, "image")]).wall,
};

/** Started by the loader of its own Debian: it runs with that Debian's libraries and this machine's files. */
function criuCommand(): [string, ...string[]] {
  const libraries = join(CRIU_ROOT, "usr/lib/x86_64-linux-gnu");
  return [join(libraries, "ld-linux-x86-64.so.2"), "--library-path", libraries, join(CRIU_ROOT, "usr/sbin/criu")];
}

export const criu: Tool = {
  name: "criu",
  freeze(pid, directory, options) {
    const [command, ...args] = criuCommand();
    const where = ["-D", directory, "-o", "dump.log"];
    try {
      const { wall } = timed(command, [...args, "dump", "-t", String(pid), ...where, ...options]);
      return { wall, frozen: readFrozenTime(join(directory, "stats-dump")) };
    } catch (cause) {
      throw new Error(readFileSync(join(directory, "dump.log"), "utf8").slice(-2000), { cause });
    }
  },
  thaw(directory, options) {
    const [command, ...args] = criuCommand();
    try {
      return timed(command, [...args, "restore", "-d", "-D", directory, "-o", "restore.log", ...options]).wall;
    } catch (cause) {
      throw new Error(readFileSync(join(directory, "restore.log"), "utf8").slice(-2000), { cause });
    }
  },
};

export async function ensureCriu(): Promise<string> {
  if (!existsSync(CRIU_ROOT)) {
    const source = `deb [signed-by=${DEBIAN_KEYRING}] ${debianMirror()} ${CRIU_SUITE} main`;
    mkdirSync(dirname(CRIU_ROOT), { recursive: true });
    const packages = "--include=criu,libnftables1";
    await runTool("mmdebstrap", ["--mode=root", "--variant=extract", packages, CRIU_SUITE, CRIU_ROOT, source]);
  }
  const [command, ...args] = criuCommand();
  return timed(command, [...args, "--version"]).output.split("\n")[0] ?? "";
}

/** frozen_time of criu's statistics (stats.proto): field 2 of field 1, in microseconds, after 12 bytes of its own. */
function readFrozenTime(path: string): number {
  const bytes = readFileSync(path).subarray(12);
  const cursor = { at: 0 };
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[cursor.at] ?? 0;
      cursor.at += 1;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  varint();
  const end = varint() + cursor.at;
  while (cursor.at < end) {
    const field = varint() >> 3;
    const value = varint();
    if (field === 2) return value / 1000;
  }
  throw new Error(`${path} has no frozen_time`);
}

export function imageBytes(directory: string): number {
  let sum = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sum += statSync(join(entry.parentPath, entry.name)).blocks * 512;
  }
  return sum;
}
