/**
 * The machine's signing key and the keys that it trusts, as files: `machine.key` (readable by its owner alone),
 * `machine.pub`, and one `trusted/ID.pub` for each further key. Under /etc/kmonte for root, ~/.config/kmonte else.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { KmonteError, Refusal } from "../lib/errors.ts";
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
  const { mode, uid } = statSync(path);
  if ((mode & 0o077) !== 0 || uid !== process.geteuid?.()) {
    throw new Refusal(
      "KEY_EXPOSED",
      {
        what: "The signing key cannot be used.",
        why: `${path} belongs to user ${uid} with mode ${(mode & 0o777).toString(8)}: others could have read it.`,
        remedy: "Make a new one with kmonte key new, or correct owner and mode if you know that nobody read it.",
      },
      { path },
    );
  }
  return parseKey(path, parsePrivateKey);
}

/** Makes a new signing key; the old one's public half stays trusted, so that its images can still be thawed. */
export function newMachineKey(directory: string = keyDirectory()): KeyPair {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
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
  const own = join(directory, PUBLIC);
  if (existsSync(own)) keys.push({ ...parseKey(own, parsePublicKey), path: own, own: true });
  const folder = join(directory, TRUSTED);
  if (!existsSync(folder)) return keys;
  for (const name of readdirSync(folder)
    .filter((entry) => entry.endsWith(".pub"))
    .sort()) {
    const path = join(folder, name);
    keys.push({ ...parseKey(path, parsePublicKey), path, own: false });
  }
  return keys;
}

/** Trusts another machine's key, given as the text of its public key file. Returns its id. */
export function trustKey(text: string, directory: string = keyDirectory()): string {
  let key: PublicKey;
  try {
    key = parsePublicKey(text);
  } catch (cause) {
    throw new Refusal(
      "NOT_A_KEY",
      {
        what: "That is no public key.",
        why: "A public key is the second line of a minisign .pub file.",
        remedy: "Name the other machine’s /etc/kmonte/machine.pub.",
      },
      {},
      cause,
    );
  }
  const folder = join(directory, TRUSTED);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeAtomically(join(folder, `${key.id}.pub`), formatPublicKey(key), 0o644);
  return key.id;
}

/** Stops trusting a key by its id. */
export function revokeKey(id: string, directory: string = keyDirectory()): void {
  const key = trustedKeys(directory).find((candidate) => candidate.id === id.toUpperCase());
  if (key && !key.own) {
    rmSync(key.path);
    return;
  }
  throw new Refusal("KEY_UNKNOWN", {
    what: `The key ${id} cannot be revoked.`,
    why: key ? "It is the one that this machine signs with." : "It is not among the trusted keys.",
    remedy: key ? "Make a new one first: kmonte key new." : "kmonte key list shows those that are.",
  });
}

function parseKey<T>(path: string, parse: (text: string) => T): T {
  try {
    return parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new KmonteError(
      "KEY_DAMAGED",
      {
        what: `${path} cannot be used.`,
        why: cause instanceof Error ? `${cause.message}.` : String(cause),
        remedy: "Put it back from a backup, or take it away and let kmonte make a new one.",
      },
      { facts: { path }, cause },
    );
  }
}

function writeAtomically(path: string, text: string, mode: number): void {
  const partial = `${path}.new-${process.pid}`;
  writeFileSync(partial, text, { mode, flag: "wx" });
  renameSync(partial, path);
}
