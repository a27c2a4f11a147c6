/** Reading an image: the manifest, then every digest, and only then a byte of anything else. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { KmonteError, Refusal } from "../lib/errors.ts";
import { digestFile, digestFileWith } from "./digest.ts";
import { DigestPool } from "./digest-pool.ts";
import { MANIFEST, manifestSchema, STATE, type Manifest } from "./manifest.ts";
import { FORMAT_VERSION, stateSchema, type FrozenState } from "./schema.ts";
import { verifyManifest } from "./trust.ts";

export interface Image {
  readonly directory: string;
  readonly manifest: Manifest;
  readonly state: FrozenState;
}

export interface ReadOptions {
  /** Takes an image whoever wrote it. */
  readonly unsigned?: boolean;
  /** Told of bytes whose digest has been checked. */
  readonly onBytes?: (bytes: number) => void;
}

/** Above this, several threads check a file. */
const LARGE_FILE = 64 * 1024 * 1024;

/** Opens an image; throws a {@link Refusal} that says what is wrong with it. */
export function readImage(directory: string, options: ReadOptions = {}): Image {
  const manifest = readManifest(directory, options.unsigned === true);
  const large = manifest.files.some((file) => file.size > LARGE_FILE);
  using pool = large ? new DigestPool() : undefined;
  for (const file of manifest.files) checkFile(directory, file, options.onBytes, pool);
  const state = parseJson(directory, STATE, stateSchema);
  return { directory, manifest, state };
}

/** The manifest, once its signature has been found to be that of a trusted key. */
export function readManifest(directory: string, unsigned: boolean): Manifest {
  let bytes: Buffer;
  try {
    bytes = readFileSync(join(directory, MANIFEST));
  } catch (cause) {
    throw new Refusal(
      "NOT_AN_IMAGE",
      {
        what: `${directory} is not a frozen image.`,
        why: `Its ${MANIFEST} cannot be read (${(cause as NodeJS.ErrnoException).code}).`,
        remedy: "Name the directory that kmonte freeze wrote.",
      },
      { path: directory },
      cause,
    );
  }
  if (!unsigned) verifyManifest(directory, bytes);
  const text = bytes.toString("utf8");
  refuseNewer(directory, text);
  return parseText(directory, MANIFEST, text, manifestSchema);
}

function refuseNewer(directory: string, text: string): void {
  const format = Number(/"format":\s*(\d+)/.exec(text)?.[1] ?? Number.NaN);
  if (format > FORMAT_VERSION) {
    throw new Refusal(
      "FORMAT_NEWER",
      {
        what: `${directory} was written by a newer kmonte.`,
        why: `It has format ${format}; this kmonte knows formats up to ${FORMAT_VERSION}.`,
        remedy: "Use the kmonte that wrote it, or a newer one.",
      },
      { path: directory },
    );
  }
}

function checkFile(
  directory: string,
  file: Manifest["files"][number],
  onBytes?: (bytes: number) => void,
  pool?: DigestPool,
): void {
  const path = join(directory, file.name);
  const damaged = (code: string, why: string, cause?: unknown): Refusal =>
    new Refusal(
      code,
      {
        what: `The image in ${directory} is damaged.`,
        why,
        remedy: "Take the image from a copy; nothing was thawed.",
      },
      { path },
      cause,
    );
  let size: number;
  try {
    ({ size } = statSync(path));
  } catch (cause) {
    throw damaged("IMAGE_FILE_MISSING", `${file.name} is missing.`, cause);
  }
  if (size !== file.size) {
    throw damaged("IMAGE_FILE_SIZE", `${file.name} has ${size} bytes instead of ${file.size}.`);
  }
  const { sha256 } = pool && size > LARGE_FILE ? digestFileWith(pool, path, onBytes) : digestFile(path, onBytes);
  const wrong = file.sha256.findIndex((digest, chunk) => digest !== sha256[chunk]);
  if (wrong >= 0 || sha256.length !== file.sha256.length) {
    throw damaged("IMAGE_FILE_DIGEST", `${file.name} is not what was written (chunk ${wrong} has another digest).`);
  }
}

function parseJson<S extends v.GenericSchema>(directory: string, name: string, schema: S): v.InferOutput<S> {
  return parseText(directory, name, readFileSync(join(directory, name), "utf8"), schema);
}

function parseText<S extends v.GenericSchema>(
  directory: string,
  name: string,
  text: string,
  schema: S,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Refusal(
      "IMAGE_NOT_JSON",
      { what: `The image in ${directory} is damaged.`, why: `${name} is not JSON.`, remedy: "Take it from a copy." },
      { path: join(directory, name) },
      cause,
    );
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new KmonteError(
    "IMAGE_SCHEMA",
    {
      what: `The image in ${directory} is not of the form that this kmonte knows.`,
      why: `${name}: ${v.getDotPath(issue) ?? "the whole"}: ${issue.message}.`,
      remedy: "Use the kmonte that wrote it.",
    },
    { kind: "refused", facts: { path: join(directory, name) } },
  );
}
