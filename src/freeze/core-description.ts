/** What a debugger wants to know of a frozen process, for the notes of its core file. */
import { readFileSync } from "node:fs";
import { taskOf } from "../abi/living.ts";
import { maskOfSignals } from "../abi/signal.ts";
import { unpackXstate, type PackedXstate } from "../abi/xstate.x86_64.ts";
import type { CoreProcess } from "../image/core-notes.ts";
import type { FrozenProcess, FrozenState } from "../image/schema.ts";
import { unhex } from "../lib/hex.ts";

/** What a debugger wants to know, from the state. */
export function describeForCore(process: FrozenProcess, state: FrozenState): CoreProcess {
  const body = process.body as NonNullable<FrozenProcess["body"]>;
  const threads = body.threads as unknown as {
    tid: number;
    execution: PackedXstate & { general: CoreProcess["threads"][number]["registers"]; blocked: string[] };
    credentials: { uids: number[]; gids: number[] };
  }[];
  const { layout } = body.resources as unknown as { layout: { auxv: string } };
  return {
    pid: process.pid,
    ppid: process.ppid,
    pgid: process.pgid,
    sid: process.sid,
    uid: threads[0]?.credentials.uids[0] ?? 0,
    gid: threads[0]?.credentials.gids[0] ?? 0,
    command: process.command,
    commandLine: readFileSync(`/proc/${taskOf(process.pid)}/cmdline`, "utf8")
      .replaceAll("\0", " ")
      .trim(),
    auxv: Buffer.from(layout.auxv, "base64"),
    files: body.mappings.flatMap(({ start, end, backing }) => {
      const object = backing && (state.objects[backing.object] as { path?: string });
      return backing && object?.path
        ? [{ start: unhex(start), end: unhex(end), offset: backing.offset, path: object.path }]
        : [];
    }),
    threads: threads
      .toSorted((a, b) => Number(b.tid === process.pid) - Number(a.tid === process.pid))
      .map(({ tid, execution }) => ({
        tid,
        registers: execution.general,
        xstate: unpackXstate(execution),
        blocked: maskOfSignals(execution.blocked),
      })),
  };
}
