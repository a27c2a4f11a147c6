/** Keys of age (https://age-encryption.org/v1): X25519, written in Bech32. `age-keygen` makes the same. */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";
import { bech32, unbech32 } from "./bech32.ts";
import { MalformedKey } from "../../errors/wrong-input.ts";

const RECIPIENT = "age";
const IDENTITY = "age-secret-key-";
const KEY_SIZE = 32;
/** DER before the 32 bytes of a raw key (RFC 8410). */
const SPKI = Buffer.from("302a300506032b656e032100", "hex");
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** Somebody to encrypt to: the raw public key. */
export type Recipient = Buffer;

export interface AgeIdentity {
  readonly secret: KeyObject;
  readonly recipient: Recipient;
}

export function publicKey(raw: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" });
}

export function rawPublic(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(SPKI.length);
}

function identityOf(secret: KeyObject): AgeIdentity {
  return { secret, recipient: rawPublic(createPublicKey(secret)) };
}

export function newIdentity(): AgeIdentity {
  return identityOf(generateKeyPairSync("x25519").privateKey);
}

export function formatRecipient(recipient: Recipient): string {
  return bech32(RECIPIENT, recipient);
}

/** Throws a {@link MalformedKey} at anything that is no recipient of this kind. */
export function parseRecipient(text: string): Recipient {
  const raw = unbech32(RECIPIENT, text.trim());
  if (raw?.length !== KEY_SIZE || !isUsable(raw)) throw new MalformedKey("not a recipient of age (age1…)");
  return raw;
}

/** A point of small order would make a secret that everybody knows; OpenSSL refuses it. */
function isUsable(raw: Buffer): boolean {
  try {
    diffieHellman({ privateKey: generateKeyPairSync("x25519").privateKey, publicKey: publicKey(raw) });
    return true;
  } catch {
    return false;
  }
}

/** A key file as age-keygen writes it. */
export function formatIdentity({ secret, recipient }: AgeIdentity): string {
  const raw = secret.export({ format: "der", type: "pkcs8" }).subarray(PKCS8.length);
  return `# public key: ${formatRecipient(recipient)}\n${bech32(IDENTITY, raw).toUpperCase()}\n`;
}

/** All keys of a key file; lines that begin with # are comments. Throws a {@link MalformedKey} at anything else. */
export function parseIdentities(text: string): AgeIdentity[] {
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length === 0) throw new MalformedKey("no key of age in it (AGE-SECRET-KEY-1…)");
  return keys.map((line) => {
    const raw = unbech32(IDENTITY, line);
    if (raw?.length !== KEY_SIZE) throw new MalformedKey("a line of it is no key of age (AGE-SECRET-KEY-1…)");
    return identityOf(createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: "der", type: "pkcs8" }));
  });
}
