/** Settings under /proc/sys that belong to a namespace: the files show those of the thread that reads them. */
import { join } from "node:path";
import { readFileSync, readdirSync, statSync, writeFileSync } from "../../sys/files.ts";
import { failures } from "../../errors/catalogue.ts";

export type Sysctls = Record<string, string>;

/** All settings below a folder that can be read and written, by their path under /proc/sys. */
export function readSysctls(folder: string): Sysctls {
  const found: Sysctls = {};
  const walk = (path: string): void => {
    for (const entry of readdirSync(`/proc/sys/${path}`, { withFileTypes: true })) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) walk(below);
      else {
        const value = readSysctl(below);
        if (value !== undefined) found[below] = value;
      }
    }
  };
  walk(folder);
  return found;
}

/** Undefined where it cannot be read, or cannot be written and so follows from something else. */
export function readSysctl(path: string): string | undefined {
  try {
    if ((statSync(`/proc/sys/${path}`).mode & 0o600) !== 0o600) return undefined;
    return readFileSync(`/proc/sys/${path}`, "utf8").trimEnd();
  } catch {
    // Settings answer with errors of their own (EIO of an IPv6 stable_secret that is not set).
    return undefined;
  }
}

/** Sets what is not so already. A setting that this kernel does not have is no loss; one that it refuses is. */
export function writeSysctls(sysctls: Sysctls): void {
  for (const [path, value] of Object.entries(sysctls)) {
    const now = readSysctl(path);
    if (now === undefined || now === value) continue;
    try {
      writeFileSync(`/proc/sys/${path}`, value);
    } catch (cause) {
      throw failures.SYSCTL({ name: path.replaceAll("/", "."), value: JSON.stringify(value), cause });
    }
  }
}
