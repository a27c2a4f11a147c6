/** The kernels that this machine can switch to: what is in /boot, with what belongs to each. */
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { readKernelImage } from "./kernel-image.ts";
import { kernelRelease, kernelVersion } from "../lib/kernel.ts";

export interface Kernel {
  /** As `uname -r` says it. */
  readonly release: string;
  /** The kernel image. */
  readonly image: string;
  /** What is missing is missing: a kernel without an initramfs may be built to need none. */
  readonly initrd: string | undefined;
  readonly modules: string | undefined;
  readonly config: string | undefined;
  /** Whether it is the one that runs now. */
  readonly running: boolean;
}

/** Where things are looked for; tests give other places. */
export interface KernelPlaces {
  readonly boot?: string;
  readonly modules?: string;
  readonly running?: string;
}

const IMAGE = /^(?:vmlinuz|vmlinux|bzImage|linux)-(.+)$/;

/** All kernels in /boot, newest first. */
export function listKernels(places: KernelPlaces = {}): Kernel[] {
  const boot = places.boot ?? "/boot";
  if (!existsSync(boot)) return [];
  return readdirSync(boot)
    .filter((name) => IMAGE.test(name) && !/\.(old|bak|sig|hmac)$/.test(name))
    .map((name) => describe(join(boot, name), places))
    .sort((one, other) => compareReleases(other.release, one.release));
}

/** The kernel that `spec` names: a path, a whole release, or the beginning of one (`6.12`); the newest that fits. */
export function findKernel(spec: string, places: KernelPlaces = {}): Kernel {
  if (spec.includes("/")) return kernelAtPath(spec, places);
  const kernels = listKernels(places);
  const wanted = spec.replace(IMAGE, "$1");
  const found = kernels.find((kernel) => kernel.release === wanted) ?? kernels.find((kernel) => fits(kernel, wanted));
  if (found) return found;
  const known = kernels.map((kernel) => kernel.release).join(", ");
  throw failures.NO_SUCH_KERNEL.release({ spec, known, boot: places.boot ?? "/boot" });
}

/** `6.1` means 6.1 and 6.1.0-50, never 6.12. */
function fits(kernel: Kernel, prefix: string): boolean {
  const rest = kernel.release.slice(prefix.length);
  return kernel.release.startsWith(prefix) && /^($|[^0-9])/.test(rest);
}

function kernelAtPath(path: string, places: KernelPlaces): Kernel {
  if (!existsSync(path)) {
    throw failures.NO_SUCH_KERNEL.path({ path });
  }
  // /vmlinuz and the like are links to the file whose name says the release.
  return describe(realpathSync(path), places);
}

function describe(image: string, places: KernelPlaces): Kernel {
  const boot = dirname(image);
  const named = IMAGE.exec(image.slice(boot.length + 1))?.[1];
  const version = named ?? releaseInImage(image);
  const modules = join(places.modules ?? modulesBeside(boot, version), version);
  return {
    release: version,
    image,
    initrd: firstThere(
      [`initrd.img-${version}`, `initramfs-${version}.img`, `initrd-${version}`].map((name) => join(boot, name)),
    ),
    modules: firstThere([modules]),
    config: firstThere([join(boot, `config-${version}`), join(modules, "config"), join(modules, "build/.config")]),
    running: version === (places.running ?? kernelRelease()),
  };
}

/** A kernel that is installed under another root directory has its modules there. */
function modulesBeside(boot: string, version: string): string {
  const beside = ["../lib/modules", "../usr/lib/modules"].map((path) => join(boot, path));
  return beside.find((path) => existsSync(join(path, version))) ?? "/lib/modules";
}

/** An x86 image says its release itself. */
function releaseInImage(image: string): string {
  const version = readKernelImage(image).version?.split(" ")[0];
  if (version) return version;
  throw failures.NOT_A_KERNEL({ image });
}

function firstThere(paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path));
}

/** Numbers by value, words by letter: 6.1 < 6.2 < 6.12. */
function compareReleases(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}

/** A security update may come under the name of the running kernel: the file then says another version than `uname -v`. */
export function isReplaced({ image, running }: Kernel, present = kernelVersion()): boolean {
  const text = running ? orIfGone(() => readKernelImage(image).version, undefined) : undefined;
  return text !== undefined && !text.includes(present);
}
