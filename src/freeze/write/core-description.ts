/** What a debugger wants to know of a frozen process, for the notes of its core file. */
import { readFileSync } from "node:fs";
import { procPath } from "../../sys/task.ts";
import { maskOfSignals } from "../../abi/signal.ts";
import { unpackXstate } from "../../abi/xstate.x86_64.ts";
import type { CoreProcess } from "../../image/core/notes.ts";
import { stateOfKind } from "../../image/kinds.ts";
import type { FrozenProcess, FrozenState } from "../../image/schema.ts";
import type { Task } from "../../lib/brand.ts";
import { unhex } from "../../lib/hex.ts";
import { shadowedFile } from "../../resources/file/shadowed-file.ts";
import { pathFile } from "../../resources/file/path-file.ts";
import { unlinkedFile } from "../../resources/file/unlinked-file.ts";
import { volatileFile } from "../../resources/volatile/volatile-file.ts";

/** The kinds of files with a path that can be mapped. */
const NAMED = [pathFile, volatileFile, unlinkedFile, shadowedFile];

/** What a debugger wants to know, from the state. */
export function describeForCore(process: FrozenProcess, task: Task, state: FrozenState): CoreProcess {
  const body = process.body as NonNullable<FrozenProcess["body"]>;
  const { threads } = body;
  return {
    pid: process.pid,
    ppid: process.ppid,
    pgid: process.pgid,
    sid: process.sid,
    uid: threads[0]?.credentials.uids[0] ?? 0,
    gid: threads[0]?.credentials.gids[0] ?? 0,
    command: process.command,
    commandLine: readFileSync(procPath(task, "cmdline"), "utf8").replaceAll("\0", " ").trim(),
    auxv: Buffer.from(body.resources.layout.auxv, "base64"),
    files: body.mappings.flatMap(({ start, end, backing }) => {
      const object = backing && state.objects[backing.object];
      const path = NAMED.map((kind) => stateOfKind<{ path: string }>(kind, object)?.path).find(Boolean);
      return backing && path ? [{ start: unhex(start), end: unhex(end), offset: backing.offset, path }] : [];
    }),
    threads: threads
      .toSorted((a, b) => Number(b.tid === process.pid) - Number(a.tid === process.pid))
      .map(({ tid, execution }) => ({
        tid,
        registers: execution.general,
        xstate: unpackXstate(execution),
        blocked: maskOfSignals(execution.signalMask),
      })),
  };
}
