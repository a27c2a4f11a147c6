/** A connection to the outside while kmonte is killed in the middle: it goes on, and no rule is left behind. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freeze, thaw } from "./kmonte-library.ts";
import { Program, until } from "./harness.ts";
import { KMONTE } from "./kmonte.ts";

const SCRIPT = new URL("programs/tcp-outside.py", import.meta.url).pathname;
const INDEX = new URL("../src/index.ts", import.meta.url).href;
const missing = existsSync("/usr/sbin/nft") ? false : "nft is not installed";

/** Those of one kmonte: others may be at work on the machine. */
function tables(pid: number | undefined = process.pid): string[] {
  const all = execFileSync("/usr/sbin/nft", ["list", "tables"], { encoding: "utf8" }).match(/kmonte-\S+/g) ?? [];
  return all.filter((name) => name.includes(`-${pid}-`));
}

async function checkGoesOn(program: Program): Promise<void> {
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
}

test("kmonte is killed while it holds a connection", { skip: missing }, async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  const code = `const { freeze } = await import(${JSON.stringify(INDEX)});
    await freeze({ pids: [${program.pid}], directory: ${JSON.stringify(`${program.directory}/image`)}, end: 'hold' });
    console.log('held');
    setInterval(() => {}, 1000);`;
  const script = `${program.directory}/hold.mjs`;
  writeFileSync(script, code);
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  assert.equal(tables(child.pid).length, 1, "no rules while the processes are held");
  child.kill("SIGKILL");
  await until(() => tables(child.pid).length === 0, "the end of the rules");
  await checkGoesOn(program);
});

/** nft as it is, after a moment; it notes for which table it was asked. */
const SLOW_NFT = `#!/bin/sh
rules=$(cat); printf '%s\\n' "$rules" | grep -o 'table inet kmonte-[^ ]*' >>"$NOTES"
sleep 1; printf '%s\\n' "$rules" | "$NFT" "$@"`;

for (const name of ["kmonte-\\d+", "kmonte-gone"]) {
  test(`kmonte is killed while nft makes ${name.replace("\\d+", "N")}`, { skip: missing }, async () => {
    await using program = Program.start("/usr/bin/python3", [SCRIPT]);
    await program.waitFor(/^READY$/m);
    const at = (file: string): string => `${program.directory}/${file}`;
    writeFileSync(at("nft"), SLOW_NFT, { mode: 0o755 });
    writeFileSync(at("notes"), "");
    copyFileSync("/usr/sbin/nft", at("real-nft"));
    const script = `mount --bind "$0" /usr/sbin/nft && exec "$@"`;
    const args = ["--mount", "sh", "-c", script, at("nft"), KMONTE, "freeze", String(program.pid), "-o", at("image")];
    const child = spawn("unshare", args, {
      stdio: "ignore",
      env: { ...process.env, NFT: at("real-nft"), NOTES: at("notes") },
    });
    const asked = new RegExp(`^table inet (${name}-[^ ]*)$`, "m");
    await until(() => asked.test(readFileSync(at("notes"), "utf8")), "nft");
    child.kill("SIGKILL");
    await once(child, "close");
    await sleep(2500);
    assert.deepEqual(tables(child.pid), []);
    await checkGoesOn(program);
  });
}

test("a freeze that lets its processes go on leaves no rule", { skip: missing }, async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  const before = tables();
  await freeze({ pids: [program.pid], directory: `${program.directory}/image`, end: "resume" });
  assert.deepEqual(tables(), before);
  await checkGoesOn(program);
});

test("between freeze and thaw nothing answers for a connection", { skip: missing }, async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  const before = tables();
  const directory = await program.freeze();
  assert.equal(tables().length, before.length + 1, "no rules while the processes are away");
  // Long enough for the peer to send again what was not acknowledged.
  await sleep(1500);
  await thaw({ directory });
  assert.deepEqual(tables(), before);
  await checkGoesOn(program);
});
