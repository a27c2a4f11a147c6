/** The parts of the lab that need no virtual machine. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { cacheDirectory, cached } from "../../lab/cache.ts";
import { mirrorInDeb822, mirrorInOneLine } from "../../lab/mirror.ts";
import { runTool } from "../../lab/tool.ts";
import { missingPackages } from "../../scripts/packages.ts";

describe("the mirror is the machine's own", () => {
  test("in stanzas", () => {
    const security = "Types: deb\nURIs: http://s.invalid/debian-security\nSuites: x-security\nComponents: main\n";
    const archive = "Types: deb\nURIs: http://m.invalid/debian/\nSuites: x x-updates\nComponents: main\n";
    assert.equal(mirrorInDeb822(`${security}\n${archive}`), "http://m.invalid/debian");
    assert.equal(mirrorInDeb822(`Enabled: no\n${archive}`), undefined);
    assert.equal(mirrorInDeb822(security), undefined);
  });
  test("in lines", () => {
    const lines = "# deb http://no.invalid/debian x main\ndeb [signed-by=/k] http://m.invalid/debian x main contrib\n";
    assert.equal(mirrorInOneLine(lines), "http://m.invalid/debian");
    assert.equal(mirrorInOneLine("deb http://o.invalid/apt x main\n"), undefined);
  });
});

const fails = async (target: string): Promise<void> => {
  writeFileSync(target, "half");
  throw new Error("no");
};

describe("the cache", () => {
  const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
  const before = process.env["KMONTE_CACHE"];
  process.env["KMONTE_CACHE"] = directory;
  after(() => {
    if (before === undefined) delete process.env["KMONTE_CACHE"];
    else process.env["KMONTE_CACHE"] = before;
    rmSync(directory, { recursive: true });
  });

  test("builds once, and anew for another recipe", async () => {
    let built = 0;
    const build = async (target: string): Promise<void> => writeFileSync(target, String(++built));
    const first = await cached("thing", { a: 1 }, build);
    assert.deepEqual(await cached("thing", { a: 1 }, build), first);
    assert.notEqual((await cached("thing", { a: 2 }, build)).path, first.path);
    assert.equal(built, 2);
  });
  test("keeps nothing of a build that fails", async () => {
    await assert.rejects(cached("other", {}, fails), /no/);
    assert.ok(!readdirSync(cacheDirectory()).some((name) => name.startsWith("other") || name.startsWith("building")));
  });
});

test("a tool that fails is quoted", async () => {
  await assert.rejects(runTool("sh", ["-c", "echo broken >&2; exit 3"]), {
    code: "LAB_TOOL_FAILED",
    message: /broken/,
  });
  await assert.rejects(runTool("/nowhere", []), { code: "LAB_TOOL_FAILED" });
  assert.equal(existsSync("/nowhere"), false);
});

test("missing packages are told from installed ones", () => {
  assert.deepEqual(missingPackages(["dpkg", "no-such-package-at-all"]), ["no-such-package-at-all"]);
});
