/**
 * Signatures in minisign's format, so that others can verify them: `minisign -V -p KEY.pub -m manifest.json`.
 * Ed25519 over the BLAKE2b-512 of the bytes (algorithm "ED"); a second signature covers the first and the comment.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { MalformedImage, MalformedKey } from "../../errors/wrong-input.ts";

/** A public key as minisign writes it: eight bytes of id and thirty-two of key. */
export interface PublicKey {
  /** Sixteen hexadecimal digits, as minisign prints it. */
  readonly id: string;
  readonly key: KeyObject;
}

export interface KeyPair extends PublicKey {
  readonly privateKey: KeyObject;
}

export interface SignatureFile {
  readonly keyId: string;
  readonly signature: Buffer;
  readonly trustedComment: string;
  readonly globalSignature: Buffer;
}

const KEY_ALGORITHM = Buffer.from("Ed");
const SIGNATURE_ALGORITHM = Buffer.from("ED");
const ID_SIZE = 8;
const SIGNATURE_SIZE = 64;
const TRUSTED = "trusted comment: ";
const UNTRUSTED = "untrusted comment: ";

/** DER before the 32 bytes of a raw Ed25519 public key (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

export function generateKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { id: formatId(randomBytes(ID_SIZE)), key: publicKey, privateKey };
}

/** minisign prints ids as little-endian numbers. */
function formatId(bytes: Buffer): string {
  return Buffer.from(bytes).reverse().toString("hex").toUpperCase();
}

function idBytes(id: string): Buffer {
  return Buffer.from(id, "hex").reverse();
}

export function formatPublicKey({ id, key }: PublicKey): string {
  const raw = key.export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length);
  return `${UNTRUSTED}minisign public key ${id}\n${Buffer.concat([KEY_ALGORITHM, idBytes(id), raw]).toString("base64")}\n`;
}

/** Throws a {@link MalformedKey} at anything that is not a minisign public key. */
export function parsePublicKey(text: string): PublicKey {
  const bytes = Buffer.from(text.trim().split("\n").at(-1) ?? "", "base64");
  if (bytes.length !== 2 + ID_SIZE + 32 || !bytes.subarray(0, 2).equals(KEY_ALGORITHM)) {
    throw new MalformedKey("not a minisign public key");
  }
  const der = Buffer.concat([SPKI_PREFIX, bytes.subarray(2 + ID_SIZE)]);
  return {
    id: formatId(bytes.subarray(2, 2 + ID_SIZE)),
    key: createPublicKey({ key: der, format: "der", type: "spki" }),
  };
}

/** The private key as PEM behind a line with its id; it is not encrypted, the file's mode guards it. */
export function formatPrivateKey({ id, privateKey }: KeyPair): string {
  return `kmonte key ${id}\n${privateKey.export({ format: "pem", type: "pkcs8" }).toString()}`;
}

export function parsePrivateKey(text: string): KeyPair {
  const id = /^kmonte key ([0-9A-F]{16})\n/.exec(text)?.[1];
  if (id === undefined) throw new MalformedKey("not a kmonte key");
  const privateKey = createPrivateKey(text.slice(text.indexOf("\n") + 1));
  return { id, privateKey, key: createPublicKey(privateKey) };
}

const prehash = (bytes: Buffer): Buffer => createHash("blake2b512").update(bytes).digest();

/** Signs `bytes`; `comment` is signed with them and is one line. */
export function signBytes(bytes: Buffer, pair: KeyPair, comment: string): string {
  const signature = sign(null, prehash(bytes), pair.privateKey);
  const globalSignature = sign(null, Buffer.concat([signature, Buffer.from(comment)]), pair.privateKey);
  return formatSignature({ keyId: pair.id, signature, trustedComment: comment, globalSignature });
}

function formatSignature(file: SignatureFile): string {
  return [
    `${UNTRUSTED}signature by kmonte, key ${file.keyId}`,
    Buffer.concat([SIGNATURE_ALGORITHM, idBytes(file.keyId), file.signature]).toString("base64"),
    `${TRUSTED}${file.trustedComment}`,
    file.globalSignature.toString("base64"),
    "",
  ].join("\n");
}

/** Takes a signature file of ours apart; throws a {@link MalformedImage} at anything else. */
export function parseSignature(text: string): SignatureFile {
  const [first, second = "", third = "", fourth = ""] = text.split("\n");
  const bytes = Buffer.from(second, "base64");
  const globalSignature = Buffer.from(fourth, "base64");
  const whole =
    first?.startsWith(UNTRUSTED) &&
    third.startsWith(TRUSTED) &&
    bytes.length === 2 + ID_SIZE + SIGNATURE_SIZE &&
    bytes.subarray(0, 2).equals(SIGNATURE_ALGORITHM) &&
    globalSignature.length === SIGNATURE_SIZE;
  if (!whole) throw new MalformedImage("not a minisign signature");
  const file = {
    keyId: formatId(bytes.subarray(2, 2 + ID_SIZE)),
    signature: bytes.subarray(2 + ID_SIZE),
    trustedComment: third.slice(TRUSTED.length),
    globalSignature,
  };
  // Not a bit is free to change: neither the comment that nobody signs nor what base64 readers pass over.
  if (formatSignature(file) !== text) throw new MalformedImage("not a signature as kmonte writes it");
  return file;
}

/** Whether a signature over `bytes` and over its own comment is the key's. */
export function verifyBytes(bytes: Buffer, file: SignatureFile, { id, key }: PublicKey): boolean {
  return (
    id === file.keyId &&
    verify(null, prehash(bytes), key, file.signature) &&
    verify(null, Buffer.concat([file.signature, Buffer.from(file.trustedComment)]), key, file.globalSignature)
  );
}
