/** docs/errors.md is what the catalogue says, its codes are usable, and nothing else makes failures. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildErrors, describedFailures } from "../scripts/errors.ts";
import { AREAS, failures } from "../src/errors/catalogue.ts";

const ROOT = join(import.meta.dirname, "..");

const sources = globSync("src/**/*.ts", { cwd: ROOT })
  .filter((file) => !file.startsWith("src/errors/"))
  .map((file) => ({ file, text: readFileSync(join(ROOT, file), "utf8") }));

test("docs/errors.md is current (else: npm run errors)", () => {
  assert.equal(readFileSync(join(ROOT, "docs/errors.md"), "utf8"), buildErrors());
});

test("every code says something, whatever it is given", () => {
  assert.ok(describedFailures().length > 300, String(describedFailures().length));
  for (const { code, what, why, remedy } of describedFailures()) {
    assert.match(code, /^[A-Z][A-Z0-9_]+$/);
    assert.ok(what.length > 0, code);
    for (const text of [what, why, remedy]) assert.doesNotMatch(text ?? "", /undefined|NaN|\[object/, code);
  }
});

test("every code is declared once", () => {
  const codes = Object.values(AREAS).flatMap((entries) => Object.keys(entries));
  assert.deepEqual(
    codes.filter((code, i) => codes.indexOf(code) !== i),
    [],
  );
});

test("every text that is declared is used", () => {
  const all = sources.map(({ text }) => text).join("\n");
  const unused = Object.entries(failures).flatMap(([code, makers]) => {
    const names = typeof makers === "function" ? [code] : Object.keys(makers).map((name) => `${code}.${name}`);
    return names.filter((name) => !new RegExp(`\\bfailures\\s*\\.${name}\\b`).test(all));
  });
  assert.deepEqual(unused, []);
});

test("the catalogue alone makes failures", () => {
  const others = sources.filter(({ text }) => /new (Refusal|KmonteError|RefusalList|Warning|Advice)\(/.test(text));
  assert.deepEqual(
    others.map(({ file }) => file),
    [],
  );
});
