/** Reading an image: the manifest, then every digest, and only then a byte of anything else. */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Identity } from "../sys/identity.ts";
import { failures } from "../errors/catalogue.ts";
import { Refusal } from "../errors/failure.ts";
import { MalformedImage } from "../errors/wrong-input.ts";
import type { AgeIdentity } from "./encryption/age-keys.ts";
import { digestFile, digestFileWith } from "./chunks/digest.ts";
import { ChunkPool } from "./chunks/pool.ts";
import { convertDocument, formatOf, type Document } from "./convert/steps.ts";
import { below } from "./directory.ts";
import { ImageFiles } from "./files.ts";
import { MANIFEST, manifestSchema, STATE, type Manifest } from "./manifest.ts";
import { stateSchema, type FrozenState } from "./schema.ts";
import { invalidKind } from "./valid-state.ts";
import { codeOf, ImageSource, unreadable } from "./source.ts";
import { SIGNATURE, verifyManifest } from "./trust/trust.ts";
import { FORMAT_VERSION } from "./version.ts";

/** An image that has been found to be whole and trusted; open until it is disposed of. */
export interface Image extends Disposable {
  readonly directory: string;
  readonly manifest: Manifest;
  /**
   * The SHA-256 of the manifest that it was first written with, in hexadecimal: every copy of it has the same, in
   * whatever format it is by now, and no other image has.
   */
  readonly id: string;
  /** The format that it is written in; what is told of it here is of the present one. */
  readonly format: number;
  readonly state: FrozenState;
  readonly files: ImageFiles;
  /** A way to its directory that holds whatever becomes of the path. */
  readonly place: string;
}

export interface ReadOptions {
  /** Takes an image whoever wrote it. */
  readonly unsigned?: boolean;
  /** Told of bytes whose digest has been checked, and of how many there are in all. */
  readonly onBytes?: (bytes: number, total: number) => void;
  /** The keys that an encrypted image is opened with. */
  readonly identities?: readonly AgeIdentity[] | undefined;
  /** Whose rights decide what may be read. */
  readonly user?: Identity | undefined;
  /** Only looks: it does not matter if somebody changes the image afterwards. */
  readonly lookOnly?: boolean;
}

/** Above this, several threads check a file. */
const LARGE_FILE = 64 * 1024 * 1024;
/** A digest of 64 characters for each 4 MiB: room for images of some TiB. */
const LARGEST_MANIFEST = 64 * 1024 * 1024;
const LARGEST_SIGNATURE = 4096;
/** Some hundred thousand processes; what is parsed takes a multiple of it. */
const LARGEST_STATE = 512 * 1024 * 1024;

/** Opens an image; throws a {@link Refusal} that says what is wrong with it. */
export function readImage(directory: string, options: ReadOptions = {}): Image {
  const source = openSource(directory, options.user);
  try {
    const { manifest, id, format } = readManifest(source, options.unsigned === true);
    if (!options.lookOnly) source.secure(manifest.files);
    const large = manifest.files.some((file) => file.size > LARGE_FILE);
    using pool = large ? new ChunkPool() : undefined;
    const total = manifest.files.reduce((sum, { size }) => sum + size, 0);
    const onBytes = (bytes: number): void => options.onBytes?.(bytes, total);
    for (const file of manifest.files) checkFile(source, file, onBytes, pool);
    const files = new ImageFiles(directory, source.fd, manifest, options.identities);
    const state = readState(directory, files);
    const dispose = (): void => source[Symbol.dispose]();
    return { directory, manifest, id, format, state, files, place: source.place, [Symbol.dispose]: dispose };
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
}

function openSource(directory: string, user: Identity | undefined): ImageSource {
  try {
    return new ImageSource(directory, user);
  } catch (cause) {
    throw failures.NOT_AN_IMAGE({ directory, why: `It cannot be opened (${codeOf(cause)}).`, cause });
  }
}

/** The manifest, once its signature has been found to be that of a trusted key. */
function readManifest(source: ImageSource, unsigned: boolean): Pick<Image, "manifest" | "id" | "format"> {
  const { directory } = source;
  let bytes: Buffer | undefined;
  try {
    bytes = source.readSmall(MANIFEST, LARGEST_MANIFEST);
  } catch (cause) {
    source.refuseRemoved();
    throw failures.NOT_AN_IMAGE({ directory, why: `Its ${MANIFEST} cannot be read (${codeOf(cause)}).`, cause });
  }
  if (!bytes) throw failures.NOT_AN_IMAGE({ directory, why: `Its ${MANIFEST} is larger than any image has it.` });
  if (!unsigned) verifyManifest(directory, bytes, () => source.readSmall(SIGNATURE, LARGEST_SIGNATURE));
  const text = bytes.toString("utf8");
  refuseNewer(directory, text);
  const { value: manifest, format } = parseText(directory, "manifest", text, manifestSchema);
  refuseExpired(directory, manifest);
  return { manifest, id: manifest.origin ?? createHash("sha256").update(bytes).digest("hex"), format };
}

function refuseExpired(directory: string, { expiresAt }: Manifest): void {
  if (expiresAt === undefined || Date.parse(expiresAt) > Date.now()) return;
  throw failures.IMAGE_EXPIRED({ directory, expiresAt });
}

function readState(directory: string, files: ImageFiles): FrozenState {
  using file = files.open(STATE);
  if (file.size > LARGEST_STATE) throw unreadable(directory, STATE, new MalformedImage(`${STATE} is too large`));
  const bytes = Buffer.alloc(file.size);
  file.read(bytes, 0);
  const { value } = parseText(directory, "state", bytes.toString("utf8"), stateSchema);
  const wrong = invalidKind(value);
  if (wrong !== undefined) throw notOfTheForm(directory, STATE, wrong);
  return value;
}

function refuseNewer(directory: string, text: string): void {
  const format = Number(/"format":\s*(\d+)/.exec(text)?.[1] ?? Number.NaN);
  if (format > FORMAT_VERSION) {
    throw failures.FORMAT_NEWER({ directory, format, supported: FORMAT_VERSION });
  }
}

function checkFile(
  { directory, fd }: ImageSource,
  file: Manifest["files"][number],
  onBytes?: (bytes: number) => void,
  pool?: ChunkPool,
): void {
  const path = below(fd, file.name);
  const wrong = { directory, name: file.name, path: join(directory, file.name) };
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) throw failures.IMAGE_FILE_MISSING({ ...wrong, isThere: found !== undefined });
  if (found.size !== file.size) throw failures.IMAGE_FILE_SIZE({ ...wrong, size: found.size, wanted: file.size });
  let sha256: string[];
  try {
    ({ sha256 } = pool && file.size > LARGE_FILE ? digestFileWith(pool, path, onBytes) : digestFile(path, onBytes));
  } catch (cause) {
    throw unreadable(directory, file.name, cause);
  }
  const chunk = file.sha256.findIndex((digest, i) => digest !== sha256[i]);
  if (chunk >= 0 || sha256.length !== file.sha256.length) throw failures.IMAGE_FILE_DIGEST({ ...wrong, chunk });
}

const FILES: Readonly<Record<Document, string>> = { manifest: MANIFEST, state: STATE };

/** A document in the present format, and the format that it was in. */
function parseText<S extends v.GenericSchema>(
  directory: string,
  which: Document,
  text: string,
  schema: S,
): { readonly value: v.InferOutput<S>; readonly format: number } {
  const name = FILES[which];
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw failures.IMAGE_NOT_JSON({ directory, name, path: join(directory, name), cause });
  }
  const format = formatOf(json) ?? FORMAT_VERSION;
  const result = v.safeParse(schema, converted(directory, which, json));
  if (result.success) return { value: result.output, format };
  const issue = result.issues[0];
  throw notOfTheForm(directory, name, `${v.getDotPath(issue) ?? "the whole"}: ${issue.message}`);
}

function notOfTheForm(directory: string, name: string, why: string): Refusal {
  return failures.IMAGE_SCHEMA({ directory, name, why, path: join(directory, name) });
}

function converted(directory: string, which: Document, json: unknown): unknown {
  try {
    return convertDocument(which, json);
  } catch (cause) {
    if (!(cause instanceof MalformedImage)) throw cause;
    throw failures.FORMAT_NOT_CONVERTED({
      directory,
      format: formatOf(json),
      supported: FORMAT_VERSION,
      name: FILES[which],
      why: cause.message,
      path: join(directory, FILES[which]),
      cause,
    });
  }
}
