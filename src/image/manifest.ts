/** manifest.json: every file of an image with its size and digest, and the machine that the image came from. */
import { readFileSync } from "node:fs";
import { arch, hostname, release, version } from "node:os";
import * as v from "valibot";
import { presentBoot } from "../abi/boot.ts";
import { CHUNK_SIZE } from "./digest.ts";
import { FORMAT_VERSION } from "./version.ts";

export const MANIFEST = "manifest.json";
export const STATE = "state.json";

const fileSchema = v.strictObject({
  /** A plain file name: images have no folders. */
  name: v.pipe(v.string(), v.regex(/^[\w-][\w.-]*$/)),
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** SHA-256 of each chunk, in hexadecimal. */
  sha256: v.array(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});

export const manifestSchema = v.strictObject({
  format: v.literal(FORMAT_VERSION),
  createdAt: v.string(),
  /** From when on the image is refused; without it, never. */
  expiresAt: v.optional(v.pipe(v.string(), v.isoTimestamp())),
  chunkSize: v.literal(CHUNK_SIZE),
  machine: v.strictObject({
    kernel: v.string(),
    kernelBuild: v.string(),
    hostname: v.string(),
    architecture: v.string(),
    bootId: v.string(),
    /** Flags of /proc/cpuinfo. */
    cpuFeatures: v.array(v.string()),
  }),
  files: v.array(fileSchema),
});
export type Manifest = v.InferOutput<typeof manifestSchema>;
export type ManifestFile = v.InferOutput<typeof fileSchema>;

export function describeMachine(): Manifest["machine"] {
  return {
    kernel: release(),
    kernelBuild: version(),
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
