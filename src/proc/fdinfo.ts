/** /proc/PID/fdinfo/FD (proc_pid_fdinfo(5)). */

export interface FdInfo {
  /** File offset in bytes; bigint because directories use the whole 64 bits. */
  readonly pos: bigint;
  /** Open flags, O_CLOEXEC included. */
  readonly flags: number;
  readonly mountId: number;
  /** Every other line, in order: name and text. Names repeat (`tfd:`, `inotify`, `lock:`). */
  readonly rest: readonly (readonly [name: string, value: string])[];
}

export function parseFdInfo(text: string): FdInfo {
  let pos = 0n;
  let flags = 0;
  let mountId = 0;
  const rest: [string, string][] = [];
  for (const line of text.split("\n")) {
    const [, name, value = ""] = /^([\w -]+?):\s*(.*)$/.exec(line) ?? /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined) continue;
    if (name === "pos") pos = BigInt(value);
    else if (name === "flags") flags = Number.parseInt(value, 8);
    else if (name === "mnt_id") mountId = Number(value);
    else rest.push([name, value]);
  }
  return { pos, flags, mountId, rest };
}

/** The value of a line that stands once in a descriptor's information. */
export function fdInfoValue(info: FdInfo, name: string): string | undefined {
  return info.rest.find(([key]) => key === name)?.[1];
}
