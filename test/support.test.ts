/** docs/support.md is what the registry, the source and the test programs say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildSupport } from "../scripts/support.ts";

const DOCUMENT = join(import.meta.dirname, "../docs/support.md");

test("docs/support.md is current (else: npm run support)", () => {
  assert.equal(readFileSync(DOCUMENT, "utf8"), buildSupport());
});

test("every kind has a description and a program, every program says what it is about", () => {
  const rows = buildSupport()
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| `"));
  assert.ok(rows.length > 100, String(rows.length));
  assert.deepEqual(
    rows.filter((row) =>
      row.split(/(?<!\\)\|/).some((cell, i, all) => i > 0 && i < all.length - 1 && cell.trim() === ""),
    ),
    [],
  );
});
