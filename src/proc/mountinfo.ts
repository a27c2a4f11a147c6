/** /proc/PID/mountinfo (proc_pid_mountinfo(5)). */

export interface Mount {
  readonly id: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system stands at the mount point. */
  readonly root: string;
  readonly mountPoint: string;
  readonly type: string;
}

export function parseMountInfo(text: string): Mount[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const fields = line.split(" ");
      const type = fields[fields.indexOf("-") + 1] ?? "";
      const at = (field: number): string => unescapeOctal(fields[field] ?? "");
      return { id: Number(fields[0]), device: at(2), root: at(3), mountPoint: at(4), type };
    });
}

/** Space, tab, newline and backslash are written as `\ooo`. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
