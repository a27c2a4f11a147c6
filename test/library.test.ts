/** What a program that uses kmonte as a library gets to hear when it asks for something that there is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, freeze, thaw } from "./kmonte-library.ts";

const wrong = (why: RegExp) => ({ name: "KmonteError", code: "BAD_OPTIONS", kind: "usage", why });

test("options that are not understood are refused by their names, before anything is done", async () => {
  // As plain JavaScript may call them.
  const [anyCheck, anyFreeze, anyThaw]: readonly ((...given: any[]) => Promise<unknown>)[] = [check, freeze, thaw];
  await assert.rejects(async () => anyCheck?.([1], { closeExternally: true }), wrong(/closeExternally/));
  await assert.rejects(async () => anyCheck?.(["1"]), wrong(/^pids\.0: /));
  await assert.rejects(async () => anyFreeze?.({ pids: [1], directory: "/x", end: "kil" }), wrong(/^end: .*"kil"/));
  await assert.rejects(async () => anyThaw?.({ directory: "/x", agian: true }), wrong(/agian/));
});

test("a process that there is not is refused as on the command line", async () => {
  await assert.rejects(check([2 ** 30]), { code: "NO_SUCH_PROCESS", kind: "refused" });
  await assert.rejects(freeze({ pids: [], directory: "/var/tmp/kmonte-no", end: "kill" }), { code: "NO_PROCESS" });
});
