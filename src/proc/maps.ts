/** /proc/PID/maps and /proc/PID/smaps (proc_pid_maps(5), proc_pid_smaps(5)). */

export interface Mapping {
  /** First byte and first byte after. */
  readonly start: number;
  readonly end: number;
  /** Letters among `r`, `w`, `x`. */
  readonly prot: string;
  readonly shared: boolean;
  /** Offset into the backing file, in bytes. */
  readonly offset: number;
  /** Device as the kernel prints it, `major:minor` in hexadecimal. */
  readonly device: string;
  readonly inode: number;
  /** The backing file or the kernel's name for the mapping; empty where it has none. Octal escapes are undone. */
  readonly path: string;
  /** Two-letter VmFlags, from smaps only. */
  readonly flags: readonly string[];
  /** The memory protection key (pkeys(7)), from smaps of processors that have them; 0 is everybody's. */
  readonly protectionKey?: number;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([ps]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)\s*(.*)$/;

/** Parses the text of maps or smaps. Lines that are neither a mapping nor VmFlags are passed over. */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match) {
      const [, start = "", end = "", r = "", w = "", x = "", p, offset = "", device = "", inode, path = ""] = match;
      mappings.push({
        start: Number.parseInt(start, 16),
        end: Number.parseInt(end, 16),
        prot: (r + w + x).replaceAll("-", ""),
        shared: p === "s",
        offset: Number.parseInt(offset, 16),
        device,
        inode: Number(inode),
        path: unescapePath(path),
        flags: [],
      });
    } else if (line.startsWith("ProtectionKey:")) {
      const last = mappings.pop();
      if (last) mappings.push({ ...last, protectionKey: Number(line.slice("ProtectionKey:".length)) });
    } else if (line.startsWith("VmFlags:")) {
      const last = mappings.pop();
      if (last) mappings.push({ ...last, flags: line.slice("VmFlags:".length).trim().split(/\s+/) });
    }
  }
  return mappings;
}

/** Newlines in paths are printed as `\012`. */
function unescapePath(path: string): string {
  return path.replaceAll("\\012", "\n");
}

/** `major:minor` in decimal from maps' hexadecimal. */
export function formatMapDevice(device: string): string {
  return device
    .split(":")
    .map((part) => Number.parseInt(part, 16))
    .join(":");
}
