/** Namespaces. */
import { failed, refused, type NamedFile, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";

export const namespace = {
  NAMESPACE_FILE: {
    cgroup: refused(({ pid, command, name }: NamedProcess & Texts<"name">) => ({
      what: `Process ${pid} (${command}) holds a cgroup namespace that it does not live in.`,
      why: `Where the root of ${name} is, only a process in it can tell.`,
      remedy: "Freeze a process that lives there as well, or let this one close it.",
      facts: { pid, command, path: name, resource: "namespace" },
    })),
    unknown: refused(({ file }: { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) holds a namespace that no process of the set lives in.`,
      why: `Descriptor ${file.fd} leads to ${file.link}.`,
      remedy: "Freeze a process that lives there as well, or let this one close it.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "namespace" },
    })),
  },
  NAMESPACE_SHARED: refused(
    ({ pid, command, type, other, name }: NamedProcess & Texts<"type" | "name"> & Numbers<"other">) => ({
      what: `Process ${pid} (${command}) shares its ${type} namespace with a process that is not frozen with it.`,
      why: `Process ${other} lives in ${name} too.`,
      remedy: `Freeze process ${other} together with it, or run kmonte inside the namespace (nsenter(1)).`,
      facts: { pid, command, resource: "namespace", path: `/proc/${pid}/ns/${type}` },
    }),
  ),
  SYSCTL: failed(({ name, value }: Texts<"name" | "value">) => ({
    what: `The setting ${name} of a namespace cannot be ${value} again.`,
  })),
  USER_NAMESPACE: refused(({ name, said }: Texts<"name" | "said">) => ({
    what: "A user namespace that nobody lives in cannot be looked at.",
    why: `nsenter(1) into ${name} said: ${said}`,
    remedy: "Install util-linux, or leave the processes out that live in namespaces below it.",
  })),
};
