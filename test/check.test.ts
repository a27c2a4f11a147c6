/** Types, lint, format and unused exports of the whole tree: what `npm run check` does. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

for (const [name, args] of [
  ["tsc", ["-p", "tsconfig.json"]],
  ["oxlint", []],
  ["oxfmt", ["--check"]],
  ["knip", ["--no-progress", "--treat-config-hints-as-errors"]],
] as const) {
  test(`${name} finds nothing`, { timeout: 120_000 }, () => {
    const tool = join(ROOT, "node_modules/.bin", name);
    const { status, stdout, stderr } = spawnSync(tool, args, { cwd: ROOT, encoding: "utf8" });
    assert.equal(status, 0, `${stdout}${stderr}`);
  });
}
