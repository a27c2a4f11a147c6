/** Open files and folders of /proc: opened again by their path, those of a process by way of the one that is built. */
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { stat } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { FileKind, OpenFile } from "../contract.ts";
import { openPath } from "../objects/path-file.ts";

const schema = v.strictObject({ path: v.string() });

const OPEN = O_ACCMODE | O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_NONBLOCK;

export const procFile: FileKind<v.InferOutput<typeof schema>> = {
  name: "proc-file",
  schema,
  recognise: (file) => file.link.startsWith("/proc/") && file.stat.device === stat("/proc").device,
  freeze(file) {
    const [, pid, task] = /^\/proc\/(\d+)(?:\/task\/(\d+))?/.exec(file.link) ?? [];
    if (pid !== undefined) checkProcess(file, Number(pid), task === undefined ? undefined : Number(task));
    return { path: file.link };
  },
  thaw: (state, _context, flags) => openPath(state.path, flags & OPEN),
};

function checkProcess(file: OpenFile, pid: number, task: number | undefined): void {
  if (file.link.endsWith(" (deleted)"))
    refuse(file, "belongs to a process that has ended", "Let the program close it.");
  if (!file.context.pids.has(pid)) {
    refuse(file, `belongs to process ${pid}, which is not frozen with it`, `Freeze ${pid} together with ${file.pid}.`);
  }
  // Threads are made after files are opened.
  if (task !== undefined && task !== pid) refuse(file, "belongs to a thread", "Let the program close it.");
}

function refuse(file: OpenFile, why: string, remedy: string): never {
  throw new Refusal(
    "PROC_FILE",
    {
      what: `Process ${file.pid} (${file.command}) has a file of /proc open that cannot be opened again.`,
      why: `Descriptor ${file.fd} leads to ${file.link}, which ${why}.`,
      remedy,
    },
    { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "file" },
  );
}
