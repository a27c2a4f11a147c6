/** /etc/kmonte/swap.conf: what it sets, and what is said of a line that sets nothing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { KmonteError } from "../src/errors/failure.ts";
import { healthCommand, parseSettings } from "../src/swap/settings.ts";

const FILE = "/etc/kmonte/swap.conf";
const NOTHING = { health: [], healthSeconds: undefined, deadlineSeconds: undefined, tolerate: [], mail: undefined };
const SHIPPED = readFileSync(join(import.meta.dirname, "../debian/swap.conf"), "utf8");

describe("swap.conf", () => {
  test("sets nothing as it is shipped; each of its examples does", () => {
    assert.deepEqual(parseSettings(SHIPPED, FILE), NOTHING);
    const examples = parseSettings(SHIPPED.replaceAll(/^#(?=\w+=)/gm, ""), FILE);
    for (const [name, value] of Object.entries(examples)) assert.ok(value?.toString(), name);
    assert.equal(examples.health.length, 2);
  });

  test("the last value counts where there is one; lists grow", () => {
    const text = "Mail=one\n Mail = two \nDeadline=10\nDeadline=20\nTolerate=a\nTolerate=b*\n";
    assert.deepEqual(parseSettings(text, FILE), {
      ...NOTHING,
      mail: "two",
      deadlineSeconds: 20,
      tolerate: ["a", "b*"],
    });
  });

  test("health commands succeed together or not at all", () => {
    assert.equal(healthCommand([]), undefined);
    assert.equal(healthCommand(["true"]), "true");
    assert.equal(healthCommand(["a || b", "c"]), "( a || b ) && ( c )");
  });

  for (const [line, why] of [
    ["Helth=true", /Line 2: "Helth=true" sets nothing that kmonte knows/],
    ["Health", /sets nothing/],
    ["Mail=", /Mail= has no value/],
    ["Deadline=soon", /Deadline=soon is no number of seconds from 1 to 2046/],
    ["HealthTimeout=0", /no number/],
    ["HealthTimeout=2047", /no number/],
  ] as const) {
    test(`${line} is refused with its line`, () => {
      assert.throws(
        () => parseSettings(`# a comment\n${line}\n`, FILE),
        (error: unknown) => error instanceof KmonteError && error.code === "SWAP_SETTINGS" && why.test(error.why ?? ""),
      );
    });
  }
});
