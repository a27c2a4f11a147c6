/** The file behind a mapping of our own. */
import { opendirSync } from "../../sys/files.ts";
import type { ProcPath } from "../../sys/mount-view.ts";

/** The kernel names the entries by the whole mapping, whose ends may lie further out than what was asked for. */
export function findMapFile(address: number): ProcPath {
  using directory = opendirSync("/proc/self/map_files");
  for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
    const [start = 0, end = 0] = entry.name.split("-").map((part) => Number.parseInt(part, 16));
    if (start <= address && address < end) return `/proc/self/map_files/${entry.name}`;
  }
  throw new Error(`no map_files entry at ${address}`);
}
