/** Fetches Debian's own kernels: any suite, without touching the package lists of this machine. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KmonteError, Refusal } from "../src/errors/failure.ts";
import { DEBIAN_KEYRING, debianMirror } from "./mirror.ts";
import { runTool } from "./tool.ts";

/** The kernels that the lab can put into its guest, and the Debian suite that each comes from. */
export const KERNEL_SUITES: Readonly<Record<string, string>> = {
  "5.10": "bullseye",
  "6.1": "bookworm",
  "6.12": "trixie",
  "7.2": "sid",
};

const META_PACKAGE = "linux-image-cloud-amd64";

export function suiteOf(kernel: string): string {
  const suite = KERNEL_SUITES[kernel];
  if (suite) return suite;
  throw new Refusal("LAB_NO_SUCH_KERNEL", {
    what: `The lab has no kernel ${kernel}.`,
    why: "Its kernels are those of Debian’s releases.",
    remedy: `Choose one of ${Object.keys(KERNEL_SUITES).join(", ")}.`,
  });
}

/** Downloads the packages of a kernel and unpacks them into `target` (boot/, lib/modules or usr/lib/modules). */
export async function unpackKernel(kernel: string, work: string, target: string): Promise<void> {
  const suite = suiteOf(kernel);
  const options = privateLists(suite, work);
  await runTool("apt-get", [...options, "update", "-q"]);
  const packages = await kernelPackages(options);
  const debs = join(work, "debs");
  mkdirSync(debs);
  await runTool("apt-get", [...options, "download", "-q", ...packages], { cwd: debs });
  mkdirSync(target);
  for (const deb of readdirSync(debs)) await runTool("dpkg-deb", ["-x", join(debs, deb), target]);
}

/** apt options that read one suite of the mirror and keep every list in `work`. */
function privateLists(suite: string, work: string): string[] {
  const list = join(work, "sources.list");
  writeFileSync(list, `deb [arch=amd64 signed-by=${DEBIAN_KEYRING}] ${debianMirror()} ${suite} main\n`);
  const options: Record<string, string> = {
    "Dir::Etc::sourcelist": list,
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State::lists": join(work, "lists"),
    "Dir::Cache": join(work, "apt-cache"),
    "Acquire::Languages": "none",
    "APT::Sandbox::User": "root",
  };
  for (const name of ["lists", "apt-cache"]) mkdirSync(join(work, name, "partial"), { recursive: true });
  return Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/** The packages that hold the kernel's files: newer Debians split image, binary and modules. */
async function kernelPackages(options: string[]): Promise<string[]> {
  const text = await runTool("apt-cache", [
    ...options,
    "depends",
    "--recurse",
    "--no-recommends",
    "--no-suggests",
    "--no-breaks",
    "--no-conflicts",
    "--no-replaces",
    "--no-enhances",
    META_PACKAGE,
  ]);
  const names = new Set(text.match(/\blinux-(?:image|binary|modules|base)-\d\S*/g));
  if (names.size > 0) return [...names];
  throw new KmonteError("LAB_NO_KERNEL_PACKAGES", {
    what: `No kernel was found behind ${META_PACKAGE}.`,
    why: "Its dependencies name no linux-image, linux-binary or linux-modules package.",
    remedy: "Look whether the mirror is whole: apt-cache depends linux-image-cloud-amd64.",
  });
}
