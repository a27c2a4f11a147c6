/** /proc/PID/mountinfo (proc_pid_mountinfo(5)). */

export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system stands at the mount point. */
  readonly root: string;
  readonly mountPoint: string;
  /** Options of the mount: `rw`, `nosuid` … */
  readonly options: readonly string[];
  /** `shared:3`, `master:2` … */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the file system. */
  readonly superOptions: readonly string[];
}

export function parseMountInfo(text: string): Mount[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const fields = line.split(" ");
      const dash = fields.indexOf("-");
      const at = (field: number): string => unescapeOctal(fields[field] ?? "");
      return {
        id: Number(fields[0]),
        parent: Number(fields[1]),
        device: at(2),
        root: at(3),
        mountPoint: at(4),
        options: at(5).split(","),
        propagation: fields.slice(6, dash),
        type: at(dash + 1),
        source: at(dash + 2),
        superOptions: at(dash + 3).split(","),
      };
    });
}

/** Space, tab, newline and backslash are written as `\ooo`. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
