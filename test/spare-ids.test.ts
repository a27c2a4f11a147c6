/** Ids of processes that only help at a thaw: they need none in particular. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { KMONTE, launch } from "./kmonte.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-spare-ids-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Of the first id that a helper would have there is only a session, whose leader has ended. */
const SCRIPT = `set -e
unshare --mount --pid --fork --mount-proc sleep 1000 </dev/null >/dev/null 2>&1 & outer=$!
until inner=$(pgrep -P $outer -x sleep); do sleep 0.05; done
"$0" freeze $inner -o "$1"
echo 32766 >/proc/sys/kernel/ns_last_pid
setsid sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 &'
[ ! -e /proc/32767 ]
pgrep -s 32767 -x sleep
"$0" thaw "$1"
[ -e /proc/$inner ]
`;

test("an id that a session has whose leader has ended is left to it", async () => {
  const args = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT];
  const { status, stderr } = await launch("unshare", [...args, KMONTE, join(folder, "image")]).done;
  assert.equal(status, 0, stderr);
});
