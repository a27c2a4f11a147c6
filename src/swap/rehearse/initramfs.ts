/**
 * The first moments of a rehearsal's machine: a few of the host's own programs and the target's modules, until the
 * host's root file system is there, read-only, with a file system in memory over it for all that is written.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { failures } from "../../errors/catalogue.ts";
import { cpioArchive, type CpioEntry } from "../cpio.ts";
import type { Kernel } from "../kernels.ts";
import { moduleFileName, readModule } from "../module-file.ts";
import { dependencies } from "../watchdog.ts";

/** The tag under which the machine finds the host's file system (virtiofs). */
export const VIEW_TAG = "host";

const TOOLS = ["sh", "mount", "mkdir", "insmod", "switch_root"];
const SEARCH = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/** In the order of loading; what is built in is not there as a file. */
const MODULES = ["virtio_pci", "fuse", "virtiofs", "overlay"];

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

/** `next` is a script that the host's file system has; it is the machine's first process from then on. */
export function rehearsalInitramfs(kernel: Kernel, next: string): Buffer {
  const files = new Map<string, Buffer>();
  for (const tool of TOOLS) {
    const path = findTool(tool);
    for (const file of [path, ...librariesOf(path)]) files.set(file, readFileSync(file));
    files.set(`/bin/${tool}`, readFileSync(path));
  }
  const modules = moduleFiles(kernel);
  for (const [name, data] of modules) files.set(`/modules/${name}`, data);
  files.set("/init", Buffer.from(script([...modules.keys()], next)));
  return cpioArchive(entriesOf(files));
}

function script(modules: readonly string[], next: string): string {
  return `#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in ${modules.join(" ")}; do insmod /modules/$module; done
mount -t virtiofs -o ro ${VIEW_TAG} /lower
mount -t tmpfs tmpfs /writes
mkdir /writes/upper /writes/work
mount -t overlay -o lowerdir=/lower,upperdir=/writes/upper,workdir=/writes/work host /new
exec switch_root /new /bin/sh ${next}
`;
}

function findTool(name: string): string {
  const path = SEARCH.map((directory) => join(directory, name)).find((candidate) => existsSync(candidate));
  // kmod and the like are one program that goes by its name: the file is wanted, under the name.
  if (path) return realpathSync(path);
  throw failures.REHEARSAL_TOOL_MISSING.program({ name });
}

/** The shared libraries of a program, its loader among them, as ldd(1) tells them. */
function librariesOf(program: string): string[] {
  const said = spawnSync("ldd", [program], { encoding: "utf8" }).stdout ?? "";
  return [...said.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
}

/** The modules and what they depend on, in order, decompressed: insmod(8) need not know how. */
function moduleFiles(kernel: Kernel): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  if (!kernel.modules) return found;
  const list = readFileSync(join(kernel.modules, "modules.dep"), "utf8");
  for (const module of MODULES) {
    // modules.dep names what is needed last first.
    for (const path of (dependencies(list, module) ?? []).toReversed()) {
      const name = moduleFileName(path);
      if (!found.has(name)) found.set(name, unpackedModule(join(kernel.modules, path)));
    }
  }
  return found;
}

function unpackedModule(path: string): Buffer {
  const module = readModule(path);
  if (module) return module;
  throw failures.REHEARSAL_MODULE({ path });
}

function entriesOf(files: ReadonlyMap<string, Buffer>): CpioEntry[] {
  const directories = new Set(["proc", "sys", "dev", "lower", "writes", "new"]);
  for (const path of files.keys()) {
    for (let at = dirname(path.slice(1)); at !== "."; at = dirname(at)) directories.add(at);
  }
  return [
    ...[...directories].sort().map((path) => ({ path, mode: DIRECTORY, data: Buffer.alloc(0) })),
    ...[...files].map(([path, data]) => ({ path: path.slice(1), mode: PROGRAM, data })),
  ];
}
