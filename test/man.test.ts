/** The manual pages are what --help says, and man(1) has nothing to complain about. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildManualPages } from "../scripts/man.ts";

const DIRECTORY = join(import.meta.dirname, "../man");
const pages = buildManualPages();

test("man/ is current (else: npm run man)", () => {
  assert.deepEqual(readdirSync(DIRECTORY).sort(), Object.keys(pages).sort());
  for (const [name, text] of Object.entries(pages))
    assert.equal(readFileSync(join(DIRECTORY, name), "utf8"), text, name);
});

for (const [name, text] of Object.entries(pages)) {
  test(`${name} is right in the eyes of man(1)`, () => {
    const env = { ...process.env, MANWIDTH: "80", MANROFFSEQ: "", LC_ALL: "C.UTF-8" };
    const args = ["--warnings=w", "-l", join(DIRECTORY, name)];
    const { status, stdout, stderr } = spawnSync("man", args, { env, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, "");
    assert.match(stdout, /^NAME\n +kmonte.* +- +\S/m);
    assert.ok(text.includes(".SH OPTIONS"));
  });
}
