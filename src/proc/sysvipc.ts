/** /proc/sysvipc (proc_sysvipc(5)): the objects of System V's kinds in the IPC namespace of the thread that reads. */

/** The columns by their heads. */
export type SysvLine = ReadonlyMap<string, number>;

export function parseSysv(text: string): SysvLine[] {
  const [head = "", ...lines] = text.trim().split("\n");
  const names = head.trim().split(/\s+/);
  return lines.map((line) => {
    const values = line.trim().split(/\s+/);
    // Permissions are octal.
    return new Map(
      names.map((name, i) => [name, name === "perms" ? Number.parseInt(values[i] ?? "", 8) : Number(values[i])]),
    );
  });
}
