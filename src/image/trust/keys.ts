/**
 * The machine's signing key and the keys that it trusts, as files: `machine.key` (readable by its owner alone),
 * `machine.pub`, one `trusted/ID.pub` for each further key, one `revoked/ID.pub` for each that is trusted no more, and
 * `encryption.key`. Under /etc/kmonte for root, ~/.config/kmonte else.
 */
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { failures } from "../../errors/catalogue.ts";
import { requireGuarded } from "../user/guarded-path.ts";
import { formatIdentity, newIdentity, parseIdentities, type AgeIdentity } from "../encryption/age-keys.ts";
import {
  formatPrivateKey,
  formatPublicKey,
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  type KeyPair,
  type PublicKey,
} from "./minisign.ts";

export interface TrustedKey extends PublicKey {
  readonly path: string;
  /** Whether it is this machine's own. */
  readonly own: boolean;
}

const PRIVATE = "machine.key";
const PUBLIC = "machine.pub";
const TRUSTED = "trusted";
/** What stands here is not trusted, wherever else it stands. */
const REVOKED = "revoked";
const ENCRYPTION = "encryption.key";
const LARGEST_KEY_FILE = 64 * 1024;

/** Where keys live: KMONTE_KEYS if it is set, for tests and for those who keep them elsewhere. */
export function keyDirectory(): string {
  const chosen = process.env["KMONTE_KEYS"];
  if (chosen !== undefined && chosen !== "") return chosen;
  return process.geteuid?.() === 0 ? "/etc/kmonte" : join(homedir(), ".config/kmonte");
}

/** The key that signs here; made at the first use. */
export function machineKey(directory: string = keyDirectory()): KeyPair {
  const path = join(directory, PRIVATE);
  if (!existsSync(path)) return newMachineKey(directory);
  checkFolder(directory);
  return parseKey(readSecret(path), path, parsePrivateKey);
}

/** Makes a new signing key; the old one's public half stays trusted, so that its images can still be thawed. */
export function newMachineKey(directory: string = keyDirectory()): KeyPair {
  makeFolder(directory);
  const own = join(directory, PUBLIC);
  if (existsSync(own)) trustKey(readFileSync(own, "utf8"), directory);
  const pair = generateKeyPair();
  writeAtomically(join(directory, PRIVATE), formatPrivateKey(pair), 0o600);
  writeAtomically(own, formatPublicKey(pair), 0o644);
  return pair;
}

/** All keys whose images are thawed here, this machine's own first. */
export function trustedKeys(directory: string = keyDirectory()): TrustedKey[] {
  const keys: TrustedKey[] = [];
  if (!existsSync(directory)) return keys;
  checkFolder(directory);
  const own = join(directory, PUBLIC);
  if (existsSync(own)) keys.push({ ...parseKey(readGuarded(own), own, parsePublicKey), path: own, own: true });
  keys.push(...keysIn(join(directory, TRUSTED)));
  const revoked = new Set(revokedKeys(directory).map(({ id }) => id));
  return keys.filter(({ id, own: isOwn }) => isOwn || !revoked.has(id));
}

/** The keys that were trusted here once, and are not any more. */
export function revokedKeys(directory: string = keyDirectory()): TrustedKey[] {
  return keysIn(join(directory, REVOKED));
}

function keysIn(folder: string): TrustedKey[] {
  if (!existsSync(folder)) return [];
  checkFolder(folder);
  const names = readdirSync(folder).filter((entry) => entry.endsWith(".pub"));
  return names.sort().map((name) => {
    const path = join(folder, name);
    return { ...parseKey(readGuarded(path), path, parsePublicKey), path, own: false };
  });
}

/** Trusts another machine's key, given as the text of its public key file. Returns its id. */
export function trustKey(text: string, directory: string = keyDirectory()): string {
  let key: PublicKey;
  try {
    key = parsePublicKey(text);
  } catch (cause) {
    throw failures.NOT_A_KEY.publicKey({ cause });
  }
  const folder = join(directory, TRUSTED);
  makeFolder(directory);
  makeFolder(folder);
  writeAtomically(join(folder, `${key.id}.pub`), formatPublicKey(key), 0o644);
  rmSync(join(directory, REVOKED, `${key.id}.pub`), { force: true });
  return key.id;
}

/** Stops trusting a key by its id, and remembers it: images that it signed are then told from those of strangers. */
export function revokeKey(id: string, directory: string = keyDirectory()): void {
  const key = trustedKeys(directory).find((candidate) => candidate.id === id.toUpperCase());
  if (key && !key.own) {
    const folder = join(directory, REVOKED);
    makeFolder(folder);
    writeAtomically(join(folder, `${key.id}.pub`), formatPublicKey(key), 0o644);
    rmSync(key.path);
    return;
  }
  throw failures.KEY_UNKNOWN({ id, isOwn: key !== undefined });
}

/** Makes a key to encrypt to; images encrypted to it are opened with it here without being told. Never replaces one. */
export function newEncryptionKey(directory: string = keyDirectory()): AgeIdentity {
  makeFolder(directory);
  const path = join(directory, ENCRYPTION);
  if (existsSync(path)) {
    throw failures.KEY_EXISTS({ path });
  }
  const identity = newIdentity();
  writeAtomically(path, formatIdentity(identity), 0o600);
  return identity;
}

/** The key for encryption that was made here, if there is one. */
export function encryptionKey(directory: string = keyDirectory()): AgeIdentity | undefined {
  const path = join(directory, ENCRYPTION);
  if (!existsSync(path)) return undefined;
  checkFolder(directory);
  return readIdentities(path)[0];
}

/** Where that key lies. */
export function encryptionKeyPath(directory: string = keyDirectory()): string {
  return join(directory, ENCRYPTION);
}

/** The keys in a file that age-keygen or `kmonte key new --encryption` wrote. */
export function readIdentities(path: string): AgeIdentity[] {
  return parseKey(readSecret(path), path, parseIdentities);
}

/** All keys that encrypted images are opened with: those of the files named, and our own. */
export function openKeys(files: readonly string[] = []): AgeIdentity[] {
  const own = encryptionKey();
  return [...files.flatMap((file) => readIdentities(file)), ...(own ? [own] : [])];
}

/** The text of a key file, found to be one, for those who open images elsewhere. */
export function readKeyText(path: string): string {
  const text = readSecret(path);
  parseKey(text, path, parseIdentities);
  return text;
}

/** The keys in the text of a key file that somebody else has read. */
export function parseKeys(text: string): AgeIdentity[] {
  return parseKey(text, "The key", parseIdentities);
}

/** What may be wrong with a file or folder of keys: who else could have written to it. */
const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o077;

/** Opened once, so that what is looked at is what is read. */
function readGuarded(path: string, forbidden: number = WRITABLE_BY_OTHERS): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw failures.KEY_DAMAGED({ path, why: `Opening it failed with ${(cause as NodeJS.ErrnoException).code}`, cause });
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw failures.KEY_DAMAGED({ path, why: "It is no regular file" });
    checkOwner(path, found, forbidden);
    if (found.size > LARGEST_KEY_FILE) throw failures.KEY_DAMAGED({ path, why: "It is too large for a file of keys" });
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

function readSecret(path: string): string {
  return readGuarded(path, OPEN_TO_OTHERS);
}

/** Where others can write, they could have put a key of theirs, or another folder in the place of this one. */
function checkFolder(path: string): void {
  checkOwner(path, statSync(path), WRITABLE_BY_OTHERS);
  requireGuarded(path);
}

function checkOwner(path: string, { uid, mode }: Stats, forbidden: number): void {
  const owned = uid === process.geteuid?.() || (uid === 0 && forbidden === WRITABLE_BY_OTHERS);
  if (owned && (mode & forbidden) === 0) return;
  throw failures.KEY_EXPOSED.file({
    path,
    uid,
    mode: (mode & 0o777).toString(8),
    harm: forbidden === OPEN_TO_OTHERS ? "read" : "changed",
  });
}

function makeFolder(path: string): void {
  if (existsSync(path)) return checkFolder(path);
  mkdirSync(path, { recursive: true, mode: 0o755 });
  // Whatever the umask is.
  chmodSync(path, 0o755);
  checkFolder(path);
}

function parseKey<T>(text: string, path: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw failures.KEY_DAMAGED({ path, why: cause instanceof Error ? cause.message : String(cause), cause });
  }
}

function writeAtomically(path: string, text: string, mode: number): void {
  const partial = `${path}.new-${process.pid}`;
  rmSync(partial, { force: true });
  writeFileSync(partial, text, { mode, flag: "wx" });
  chmodSync(partial, mode);
  renameSync(partial, path);
}
