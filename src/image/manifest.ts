/** manifest.json: every file of an image with its size and digest, and the machine that the image came from. */
import { readFileSync } from "node:fs";
import { arch, hostname } from "node:os";
import * as v from "valibot";
import { presentBoot } from "../sys/boot.ts";
import { described } from "../lib/described.ts";
import { CHUNK_SIZE } from "./chunks/digest.ts";
import { FORMAT_VERSION } from "./version.ts";
import { kernelRelease, kernelVersion } from "../lib/kernel.ts";

export const MANIFEST = "manifest.json";
export const STATE = "state.json";

const text = (about: string) => described(v.string(), about);

const fileSchema = v.strictObject({
  name: described(
    v.pipe(v.string(), v.regex(/^[\w-][\w.-]*$/)),
    "Its name, a plain file name: images have no folders.",
  ),
  size: described(v.pipe(v.number(), v.integer(), v.minValue(0)), "Its size, in bytes."),
  sha256: described(
    v.array(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
    "The SHA-256 digest of each chunk, in hexadecimal.",
  ),
});

export const manifestSchema = v.strictObject({
  format: described(v.literal(FORMAT_VERSION), "The version of the format of images."),
  kmonte: v.optional(text("The version of the kmonte that wrote it; absent in what was format 1 on disk.")),
  createdAt: text("When the image was made (ISO 8601, UTC)."),
  expiresAt: v.optional(
    described(
      v.pipe(v.string(), v.isoTimestamp()),
      "From when on the image is refused (ISO 8601, UTC); without it, never.",
    ),
  ),
  chunkSize: described(v.literal(CHUNK_SIZE), "The size of a chunk, in bytes; the last one of a file may be smaller."),
  machine: described(
    v.strictObject({
      kernel: text("The release of its kernel, as uname -r says it."),
      kernelBuild: text("The version of its kernel, as uname -v says it."),
      hostname: text("Its host name."),
      architecture: text("Its architecture, as Node names it (x64)."),
      bootId: text("The boot that the image was made in, as /proc/sys/kernel/random/boot_id names it."),
      cpuFeatures: described(v.array(v.string()), "Flags of its processor, as /proc/cpuinfo lists them."),
    }),
    "The machine that the image came from.",
  ),
  origin: v.optional(
    described(
      v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      "Of an image that was converted from another format: the SHA-256 digest of the manifest that it was first written with, in hexadecimal.",
    ),
  ),
  files: described(v.array(fileSchema), "All files of the image but this one and its signature."),
});
export type Manifest = v.InferOutput<typeof manifestSchema>;
export type ManifestFile = v.InferOutput<typeof fileSchema>;

export function describeMachine(): Manifest["machine"] {
  return {
    kernel: kernelRelease(),
    kernelBuild: kernelVersion(),
    hostname: hostname(),
    architecture: arch(),
    bootId: presentBoot(),
    cpuFeatures: cpuFeatures(),
  };
}

export function cpuFeatures(): string[] {
  const line = /^flags\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"));
  return line?.[1]?.split(" ") ?? [];
}
