/** Every program of test/programs through freeze and thaw; the program itself says whether it noticed. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freeze, KmonteError, RefusalList, thaw } from "./kmonte-library.ts";
import { compile, directive, Program, type Container } from "./harness.ts";

const FOLDER = new URL("programs/", import.meta.url).pathname;
/** Programs are left alone for a moment after the thaw, so that they could notice. */
const MOMENT_MS = 100;

/** `KMONTE_FLAVOUR=ns` runs every program in namespaces of its own, `uns` in those of a user namespace. */
const FLAVOURS: Record<string, string> = { ns: "uts,ipc,pid,net,mnt", uns: "user,uts,ipc,pid,net,mnt" };
const FLAVOUR = FLAVOURS[process.env["KMONTE_FLAVOUR"] ?? ""];
/** These run it below an init, in a root file system made for it. */
const CONTAINERS: Record<string, Container> = {
  root: { user: false, root: "folder" },
  troot: { user: false, root: "tmpfs" },
  uroot: { user: true, root: "tmpfs" },
};
const CONTAINER = CONTAINERS[process.env["KMONTE_FLAVOUR"] ?? ""];

const USER = FLAVOUR?.includes("user") || CONTAINER?.user === true;

function start(name: string, unshare: string | undefined, container: string | undefined): Program {
  const [command, args] = name.endsWith(".py")
    ? ["/usr/bin/python3", [`${FOLDER}${name}`]]
    : [compile(name), [] as string[]];
  // Who asks for certain namespaces builds the rest by itself.
  const like = container === undefined ? (unshare === undefined ? CONTAINER : undefined) : CONTAINERS[container];
  if (like) return Program.startContained(like, command, args);
  const namespaces = unshare ?? FLAVOUR;
  return namespaces ? Program.startInside(namespaces.split(","), command, args) : Program.start(command, args);
}

/** Whether the kernel executes a 32-bit program: it may be built or started without, or run on a hypervisor without. */
function runs32Bit(name: string): boolean {
  // Neither a shell nor spawn(2) of the C library tells: on ENOEXEC they take the file for a script.
  const execute = "import os, sys\ntry: os.execv(sys.argv[1], sys.argv[1:])\nexcept OSError: sys.exit(42)";
  const { status } = spawnSync("/usr/bin/python3", ["-c", execute, compile(name)], { timeout: 1000 });
  return status !== 42;
}

const only = process.env["KMONTE_PROGRAM"];
for (const name of readdirSync(FOLDER)
  .filter((file) => /\.(c|py)$/.test(file))
  .sort()) {
  if (only !== undefined && !name.startsWith(only)) continue;
  const source = readFileSync(`${FOLDER}${name}`, "utf8");
  // In a pid namespace, whoever wants to be outside of the set becomes a child of its init.
  if ((FLAVOUR ?? CONTAINER) && /external|outside/.test(name)) continue;
  // Some rights are had in the first user namespace alone.
  const needs = directive(source, "needs");
  if (USER && needs === "root") continue;
  const refusal = directive(source, "refuses");
  test(`${name}${refusal ? ` is refused with ${refusal}` : ""}`, { timeout: 120_000 }, async (t) => {
    if (needs === "32-bit" && !runs32Bit(name)) return t.skip("the kernel here runs no 32-bit programs");
    await using program = start(name, directive(source, "unshare"), directive(source, "container"));
    await program.waitFor(/^READY$/m);
    if (refusal) await checkRefusal(program, refusal);
    else await goThrough(program, directive(source, "between"));
    await sleep(MOMENT_MS);
    process.kill(program.target, "SIGTERM");
    await program.waitFor(/^(PASS|FAIL.*)$/m);
    assert.match(program.output, /^PASS$/m, program.output);
  });
}

/** `between` is what happens to the machine while the program is frozen, for sh(1): a boot, say, empties /dev/shm. */
async function goThrough(program: Program, between: string | undefined): Promise<void> {
  const directory = await program.freeze();
  if (between !== undefined) execFileSync("sh", ["-ec", between, "sh", String(program.target), program.directory]);
  await thaw({ directory });
}

/** A refused program must go on as if nothing had happened: it checks itself afterwards all the same. */
async function checkRefusal(program: Program, code: string): Promise<void> {
  try {
    const set = await freeze({ pids: [program.pid], directory: `${program.directory}/image`, end: "resume" });
    assert.fail(`froze ${set.processes.length} processes`);
  } catch (error) {
    assert.ok(error instanceof KmonteError, String(error));
    const codes = error instanceof RefusalList ? error.refusals.map((refusal) => refusal.code) : [error.code];
    assert.ok(codes.includes(code), codes.join(", "));
  }
}
