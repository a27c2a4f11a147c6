/** The package that `npm run package` makes: it has all that it needs, and freezes and thaws like the checkout. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Program } from "./harness.ts";
import { launch } from "./kmonte.ts";

const ROOT = join(import.meta.dirname, "..");
const PARTS = [
  "src",
  "scripts",
  "bin",
  "man",
  "schema",
  "systemd",
  "docs",
  "package.json",
  "tsconfig.json",
  "tsconfig.build.json",
];
const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "LICENSE", ".npmrc"];

test("the package freezes and thaws", { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "kmonte-package-"));
  try {
    // Beside the checkout, which is to stay as it is.
    const copy = join(folder, "copy");
    mkdirSync(copy);
    for (const part of [...PARTS, ...DOCUMENTS]) cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    execFileSync("npm", ["run", "package"], { cwd: copy, stdio: "pipe" });
    const archive = readdirSync(copy).find((name) => name.endsWith(".tgz")) ?? "";
    execFileSync("tar", ["-xzf", join(copy, archive), "-C", folder]);
    symlinkSync(join(ROOT, "node_modules"), join(folder, "package/node_modules"));
    // What --help, the manual pages and README.md speak of comes along.
    for (const name of [
      "docs/json.md",
      "schema/error.schema.json",
      "docs/errors.md",
      "docs/support.md",
      "docs/format.md",
      "ARCHITECTURE.md",
      "SECURITY.md",
    ])
      assert.ok(existsSync(join(folder, "package", name)), name);
    const command = join(folder, "package/bin/kmonte");
    await using program = Program.start("/bin/sleep", ["1000"]);
    const image = join(program.directory, "image");
    for (const args of [
      ["freeze", String(program.pid), "-o", image],
      ["thaw", image],
    ]) {
      const { status, stdout, stderr } = await launch(command, args, { timeout: 30_000 }).done;
      assert.equal(status, 0, stdout + stderr);
    }
    assert.equal(program.alive, true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
