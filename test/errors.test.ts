/** docs/errors.md is what the source says, and the codes in it are usable. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildErrors, failuresIn } from "../scripts/errors.ts";

const DOCUMENT = join(import.meta.dirname, "../docs/errors.md");

test("docs/errors.md is current (else: npm run errors)", () => {
  assert.equal(readFileSync(DOCUMENT, "utf8"), buildErrors());
});

test("every code says something, and none is used up by chance", () => {
  const sections = buildErrors().split("\n## ").slice(1);
  assert.ok(sections.length > 40, String(sections.length));
  for (const section of sections)
    assert.match(section, /^[A-Z][A-Z0-9_]+\n\n- (refused|failed|usage|interrupted|warning|advice): \S/, section);
});

test("codes are found in the forms that the source uses", () => {
  const source = `
    const refuse = (code: string, why: string): never => { throw new Refusal(code, { what: "No.", why }, {}); };
    refuse('FIRST_ONE', \`fd \${a(",")} is bad\`);
    throw new KmonteError(full ? "SECOND" : 'THIRD', { what: "A, b.", remedy: x ? "Do." : "Not." }, { kind: "usage" });`;
  assert.deepEqual(
    failuresIn(source).map(({ code, kind, what, why, remedy }) => [code, kind, what, why, remedy]),
    [
      ["FIRST_ONE", "refused", "No.", "fd … is bad", undefined],
      ["SECOND", "usage", "A, b.", undefined, "Do."],
      ["THIRD", "usage", "A, b.", undefined, "Do."],
    ],
  );
});
