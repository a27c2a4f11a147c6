/** BPF. */
import { refused, type NamedFile, type Texts } from "../../entry.ts";
import { refusedInKernel } from "./phrases.ts";

const UNLOAD = "Let the program that loaded it unload it first.";

export const bpf = {
  BPF: {
    map: refused(({ file, why }: Texts<"why"> & { readonly file: NamedFile }) => ({
      what: `Process ${file.pid} (${file.command}) has a BPF map that cannot be frozen.`,
      why: `Descriptor ${file.fd} is a map, and ${why}.`,
      remedy: UNLOAD,
      facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "bpf-map" },
    })),
    program: refusedInKernel("a BPF program", UNLOAD),
    link: refusedInKernel("a BPF link", UNLOAD),
    types: refusedInKernel("BPF type information", UNLOAD),
    token: refusedInKernel("a BPF token", UNLOAD),
    iterator: refusedInKernel("a BPF iterator", "Let the program close it first."),
  },
};
