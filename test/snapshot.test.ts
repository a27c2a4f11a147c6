/** The snapshot that the released command starts from holds nothing of the machine that made it (scripts/snapshot.ts). */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

const tree = process.env["KMONTE_TREE"] ?? "";
const folder = mkdtempSync(join(tmpdir(), "kmonte-snapshot-"));
after(() => rmSync(folder, { recursive: true }));

describe("the start-up snapshot", { skip: tree === "" && "the sources have none" }, () => {
  test("starts with the names, times and places of where it starts", () => {
    const image = join(folder, "image");
    const state = join(folder, "state");
    const script = `hostname elsewhere && { setsid sleep 1000 </dev/null >/dev/null 2>&1 & }
      "$1" freeze $! -o "$2"`;
    const command = [join(tree, "bin/kmonte"), image];
    const env = { ...process.env, KMONTE_STATE: state, KMONTE_KEYS: join(folder, "keys"), TZ: "Asia/Tokyo" };
    const before = Date.now();
    execFileSync("unshare", ["--uts", "sh", "-c", script, "sh", ...command], { env, stdio: "ignore" });
    const { machine, createdAt } = JSON.parse(readFileSync(join(image, "manifest.json"), "utf8")) as {
      machine: Record<string, string>;
      createdAt: string;
    };
    assert.ok(existsSync(join(tree, "dist/cli/main.snapshot")), "it starts from a snapshot");
    assert.notEqual(hostname(), "elsewhere");
    assert.equal(machine["hostname"], "elsewhere");
    assert.equal(machine["kernel"], execFileSync("uname", ["-r"], { encoding: "utf8" }).trim());
    assert.ok(new Date(createdAt).getTime() >= before - 1000, createdAt);
    assert.ok(existsSync(state) && existsSync(join(folder, "keys/machine.key")));
  });
});
