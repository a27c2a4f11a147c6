/** Pipes and FIFOs that a process outside the frozen set has open too: they cannot be taken away alone. */
import { O } from "../../abi/fcntl.ts";
import type { FileStat } from "../../sys/stat.ts";
import { failures } from "../../errors/catalogue.ts";
import { lookAtHolder, type Holder } from "../../proc/holders.ts";
import type { FreezeContext, OpenFile } from "../freeze-context.ts";

/** Processes that have the same file open and are not frozen with it; kmonte itself does not count. */
export function holdersOutside(file: OpenFile): readonly Holder[] {
  return holdersOf(file.context, file.link, file.stat);
}

/** The same for anything that an open file of the set leads to, and for terminals. */
export function holdersOf(
  context: FreezeContext,
  link: string,
  { device, inode }: Pick<FileStat, "device" | "inode">,
): readonly Holder[] {
  return (context.outside.holders.get(link) ?? [])
    .filter(({ pid }) => !context.pids.has(pid))
    .flatMap((held) => lookAtHolder(held) ?? [])
    .filter((holder) => holder.file === `${device}:${inode}`);
}

/** Refuses a pipe or FIFO that leads out of the set. */
export function refuseOutside(file: OpenFile): void {
  const [holder] = holdersOutside(file);
  if (!holder) return;
  const end = holder.access === O.O_WRONLY ? "writing end" : holder.access === O.O_RDWR ? "both ends" : "reading end";
  throw failures.EXTERNAL_PIPE({ file, otherPid: holder.pid, otherCommand: holder.command, end, otherFd: holder.fd });
}
