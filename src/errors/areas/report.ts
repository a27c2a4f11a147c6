/** A swap told to others. */
import { failed, refused, type Texts } from "../entry.ts";

export const report = {
  METRICS_SETTINGS: failed(({ settings, strange }: Texts<"settings" | "strange">) => ({
    what: `${settings} cannot be followed.`,
    why: `${strange} is no absolute path of a folder.`,
    remedy: "Write one folder a line, such as /var/lib/prometheus/node-exporter; a file without any turns them off.",
    facts: { path: settings },
  })),
  REPORT_NOT_WRITTEN: failed(({ path, syscall, errno, remedy }: Texts<"path" | "syscall" | "errno" | "remedy">) => ({
    what: `${path} was not written.`,
    why: `The system call ${syscall} failed with ${errno}.`,
    remedy,
    facts: { path, syscall, errno },
  })),
  REPORT_NOT_A_FILE: refused(({ path }: Texts<"path">) => ({
    what: `${path} is not replaced by a report.`,
    why: "It is a folder, a device, a FIFO or a socket.",
    remedy: "Name a file, or - for standard output.",
    facts: { path },
  })),
};
