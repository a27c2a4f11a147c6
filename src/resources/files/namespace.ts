/** A namespace that is held open (namespaces(7)): that of a process of the set, or the one that kmonte lives in. */
import * as v from "valibot";
import { Refusal } from "../../lib/errors.ts";
import type { FileKind, OpenFile } from "../contract.ts";
import { openPath } from "../objects/path-file.ts";
import { linkOf } from "../../proc/read.ts";

const TYPES = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] as const;

const schema = v.strictObject({
  type: v.picklist(TYPES),
  /** A process of the set that lives in it; absent: it is the one of the machine. */
  process: v.optional(v.number()),
});

const LINK = new RegExp(String.raw`^(${TYPES.join("|")}):\[\d+\]$`);

export const namespaceFile: FileKind<v.InferOutput<typeof schema>> = {
  name: "namespace",
  schema,
  recognise: (file) => LINK.test(file.link),
  freeze(file) {
    const type = LINK.exec(file.link)?.[1] as (typeof TYPES)[number];
    if (linkOf(`/proc/self/ns/${type}`) === file.link) return { type };
    const process = [file.pid, ...file.context.pids].find((pid) => linkOf(`/proc/${pid}/ns/${type}`) === file.link);
    if (process === undefined) throw unknown(file);
    return { type, process };
  },
  thaw: ({ type, process }) => openPath(`/proc/${process ?? "self"}/ns/${type}`, 0),
};

function unknown(file: OpenFile): Refusal {
  return new Refusal(
    "NAMESPACE_FILE",
    {
      what: `Process ${file.pid} (${file.command}) holds a namespace that no process of the set lives in.`,
      why: `Descriptor ${file.fd} leads to ${file.link}.`,
      remedy: "Freeze a process that lives there as well, or let this one close it.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "namespace" },
  );
}
