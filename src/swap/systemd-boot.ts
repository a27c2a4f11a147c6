/**
 * The one-time entry of systemd-boot, and of other loaders of the Boot Loader Interface (systemd.io/BOOT_LOADER_INTERFACE):
 * an EFI variable with the id of an entry, which is the name of its file.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { attempt, withStruct } from "../sys/call.ts";
import { isGone, orIfGone } from "../lib/no-such-file.ts";

const VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const ONE_SHOT = `LoaderEntryOneShot-${VENDOR}`;
const FEATURES = `LoaderFeatures-${VENDOR}`;
/** EFI_LOADER_FEATURE_ENTRY_ONESHOT */
const CAN_ONE_SHOT = 1n << 3n;
/** A file of efivarfs begins with the attributes of its variable: non-volatile, boot and runtime access. */
const ATTRIBUTES = Buffer.of(7, 0, 0, 0);

/** FS_IOC_GETFLAGS and FS_IOC_SETFLAGS (linux/fs.h): the kernel makes variables that it does not know immutable. */
const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const FS_IMMUTABLE_FL = 0x10;

export interface LoaderPlaces {
  readonly variables: string;
  /** Where the partitions with the loader's entries may be mounted. */
  readonly partitions: readonly string[];
}

const PLACES: LoaderPlaces = {
  variables: "/sys/firmware/efi/efivars",
  partitions: ["/boot", "/efi", "/boot/efi"],
};

/** Chooses the kernel's entry for the next boot alone; false where no such loader has started this machine. */
export function setLoaderEntry(release: string, places: LoaderPlaces = PLACES): boolean {
  if (!canOneShot(places)) return false;
  const entry = findLoaderEntry(release, places.partitions);
  if (entry === undefined) return false;
  const path = join(places.variables, ONE_SHOT);
  makeMutable(path);
  // In one write(2): each is a whole variable to the firmware.
  const file = openSync(path, existsSync(path) ? "r+" : "wx", 0o600);
  try {
    writeSync(file, Buffer.concat([ATTRIBUTES, Buffer.from(`${entry}\0`, "utf16le")]));
  } finally {
    closeSync(file);
  }
  return true;
}

/** Takes the choice back; the loader does so itself when it has heeded it. */
export function clearLoaderEntry({ variables }: LoaderPlaces = PLACES): void {
  const path = join(variables, ONE_SHOT);
  if (!existsSync(path)) return;
  makeMutable(path);
  rmSync(path, { force: true });
}

function canOneShot({ variables }: LoaderPlaces): boolean {
  const features = orIfGone(() => readFileSync(join(variables, FEATURES)), Buffer.alloc(0));
  if (features.length < 12) return false;
  return (features.readBigUInt64LE(4) & CAN_ONE_SHOT) !== 0n;
}

/** The id of the entry that starts this kernel: a text of loader/entries, or a unified image of EFI/Linux. */
export function findLoaderEntry(release: string, partitions: readonly string[]): string | undefined {
  for (const partition of partitions) {
    const entries = join(partition, "loader/entries");
    const texts = namesIn(entries).filter((name) => name.endsWith(".conf"));
    const text = texts.find((name) => startsKernel(readFileSync(join(entries, name), "utf8"), release));
    if (text !== undefined) return text;
    // kernel-install(8) names them MACHINE-RELEASE.efi, with a counter of tries at times (+3).
    const image = namesIn(join(partition, "EFI/Linux")).find((name) => imageRelease(name) === release);
    if (image !== undefined) return image;
  }
  return undefined;
}

/** Whether an entry (boot loader specification, type 1) starts this kernel in the ordinary way. Pure. */
function startsKernel(text: string, release: string): boolean {
  const field = (name: string): string | undefined => new RegExp(`^${name}\\s+(.*?)\\s*$`, "m").exec(text)?.[1];
  const kernel = field("linux");
  if (kernel === undefined || /\b(single|rescue|recovery)\b/.test(field("options") ?? "")) return false;
  return (
    field("version") === release || kernel.split("/").some((part) => part === release || part === `vmlinuz-${release}`)
  );
}

function imageRelease(name: string): string | undefined {
  return /^(?:[0-9a-f]{32}-)?(.+?)(?:\+\d+(?:-\d+)?)?\.efi$/i.exec(name)?.[1];
}

function namesIn(folder: string): string[] {
  return orIfGone(() => readdirSync(folder), []).sort();
}

/** Where a file system has no such flag there is nothing to take away. */
function makeMutable(path: string): void {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  try {
    withStruct(8, (bytes, address) => {
      if (attempt("ioctl", file, FS_IOC_GETFLAGS, address) < 0) return;
      const flags = bytes.readUInt32LE(0);
      if ((flags & FS_IMMUTABLE_FL) === 0) return;
      bytes.writeUInt32LE(flags & ~FS_IMMUTABLE_FL, 0);
      attempt("ioctl", file, FS_IOC_SETFLAGS, address);
    });
  } finally {
    closeSync(file);
  }
}
