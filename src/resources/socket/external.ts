/** The other end of a connection, when it is not in the frozen set. */
import { readdirSync } from "../../sys/files.ts";
import type { OpenFile } from "../freeze-context.ts";
import { linksOf, readStat } from "../../proc/read.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";

/** Who has a socket open: `pid (command)`, by its inode. */
export function holderOf(inode: number): { pid: number; command: string; fd: number } | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    for (const [fd, link] of linksOf(pid)) {
      const command = link === `socket:[${inode}]` ? readStat(pid)?.comm : undefined;
      if (command !== undefined) return { pid, command, fd };
    }
  }
  return undefined;
}

export function externalSocket(file: OpenFile, what: string, inode: number | undefined): Refusal {
  const holder = inode === undefined ? undefined : holderOf(inode);
  const other = holder
    ? `process ${holder.pid} (${holder.command}, descriptor ${holder.fd})`
    : "nobody who can be found";
  return failures.EXTERNAL_SOCKET({ file, what, other, holder: holder?.pid });
}
