/** The other end of a connection, when it is not in the frozen set. */
import { readdirSync, readFileSync } from "node:fs";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import type { OpenFile } from "../contract.ts";
import { isGone } from "../../lib/no-such-file.ts";
import { linkOf } from "../../proc/read.ts";

/** Who has a socket open: `pid (command)`, by its inode. */
export function holderOf(inode: number): { pid: number; command: string; fd: number } | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      for (const fd of readdirSync(`/proc/${name}/fd`)) {
        if (linkOf(`/proc/${name}/fd/${fd}`) !== `socket:[${inode}]`) continue;
        return { pid: Number(name), command: readFileSync(`/proc/${name}/comm`, "utf8").trim(), fd: Number(fd) };
      }
    } catch (error) {
      if (!isGone(error)) throw error;
      // It has ended meanwhile, or is not ours to look into.
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
