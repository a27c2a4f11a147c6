/** The header of a file of age: the key of the file, wrapped for each recipient (https://age-encryption.org/v1). */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  timingSafeEqual,
} from "node:crypto";
import { publicKey, rawPublic, type AgeIdentity, type Recipient } from "./age-keys.ts";
import { MalformedImage } from "../../errors/wrong-input.ts";

const VERSION = "age-encryption.org/v1";
const X25519 = "X25519";
const SCRYPT = "scrypt";
const FILE_KEY = 16;
const SHARE_SIZE = 32;
const MAC_SIZE = 32;
export const TAG_SIZE = 16;
const WIDTH = 64;
/** Readers look no further for the end of a header: a few hundred recipients fit. */
export const LONGEST_HEADER = 64 * 1024;

interface Stanza {
  readonly args: readonly string[];
  readonly body: Buffer;
}

/** The key of the file for one recipient, and the public key that it was wrapped with. */
interface Wrapped {
  readonly share: Buffer;
  readonly body: Buffer;
}

export function derive(secret: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, salt, info, 32));
}

const base64 = (bytes: Buffer): string => bytes.toString("base64").replaceAll("=", "");

/** Node passes over what does not belong into base64; a header has one spelling only. */
function unbase64(text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  if (base64(bytes) !== text) throw new MalformedImage("the header is not in base64");
  return bytes;
}

function wrap(fileKey: Buffer, recipient: Recipient): string {
  const { privateKey, publicKey: ephemeral } = generateKeyPairSync("x25519");
  const share = rawPublic(ephemeral);
  const secret = diffieHellman({ privateKey, publicKey: publicKey(recipient) });
  const body = seal(
    derive(secret, Buffer.concat([share, recipient]), `${VERSION}/${X25519}`),
    Buffer.alloc(12),
    fileKey,
  );
  return `-> ${X25519} ${base64(share)}\n${base64(body)}\n`;
}

/** ChaCha20-Poly1305 (RFC 8439) with its tag behind it. */
export function seal(key: Buffer, nonce: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_SIZE });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Throws when a single bit is not what was sealed. */
export function unseal(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer {
  const cipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_SIZE });
  cipher.setAuthTag(sealed.subarray(-TAG_SIZE));
  const plain = cipher.update(sealed.subarray(0, -TAG_SIZE));
  cipher.final();
  return plain;
}

/** The header in front of a file with this key. */
export function buildHeader(fileKey: Buffer, recipients: readonly Recipient[]): Buffer {
  const text = `${VERSION}\n${recipients.map((recipient) => wrap(fileKey, recipient)).join("")}---`;
  return Buffer.from(`${text} ${base64(macOf(fileKey, text))}\n`);
}

function macOf(fileKey: Buffer, text: string): Buffer {
  return createHmac("sha256", derive(fileKey, Buffer.alloc(0), "header"))
    .update(text)
    .digest();
}

/**
 * The key of a file from its first bytes, and how long its header is. Undefined when none of the identities is a
 * recipient; throws a {@link MalformedImage} at anything that the specification does not allow in a header, whoever it is for.
 */
export function openHeader(
  first: Buffer,
  identities: readonly AgeIdentity[],
): { readonly fileKey: Buffer; readonly length: number } | undefined {
  const text = first.subarray(0, LONGEST_HEADER).toString("latin1");
  const end = text.indexOf("\n--- ");
  const length = text.indexOf("\n", end + 1) + 1;
  if (!text.startsWith(`${VERSION}\n`) || end < 0 || length === 0) throw new MalformedImage("it is no file of age");
  const signed = text.slice(0, end + "\n---".length);
  const mac = unbase64(text.slice(end + "\n--- ".length, length - 1));
  if (mac.length !== MAC_SIZE) throw disorder();
  const stanzas = parseStanzas(text.slice(VERSION.length + 1, end + 1));
  // Who opens a file with a passphrase takes it for written by somebody who knows it: that holds for no other recipient.
  if (stanzas.length > 1 && stanzas.some(({ args }) => args[0] === SCRYPT)) throw disorder();
  for (const wrapped of stanzas.filter(({ args }) => args[0] === X25519).map(checkX25519)) {
    for (const identity of identities) {
      const fileKey = unwrap(wrapped, identity);
      if (!fileKey) continue;
      if (!timingSafeEqual(mac, macOf(fileKey, signed))) throw new MalformedImage("its header was altered");
      return { fileKey, length };
    }
  }
  return undefined;
}

const disorder = (): MalformedImage => new MalformedImage("its header is not in order");

/** Each stanza is a line of arguments and lines of 64 characters; a shorter one, which may be empty, ends it. */
function parseStanzas(text: string): Stanza[] {
  const stanzas: Stanza[] = [];
  // Behind the last end of line there is no line.
  const lines = text.split("\n").slice(0, -1);
  for (let at = 0; at < lines.length;) {
    const head = lines[at] ?? "";
    if (!/^->(?: [\x21-\x7e]+)+$/.test(head)) throw disorder();
    let body = "";
    for (at += 1; ; at += 1) {
      const line = lines[at];
      if (line === undefined || line.length > WIDTH) throw disorder();
      body += line;
      if (line.length < WIDTH) break;
    }
    at += 1;
    stanzas.push({ args: head.slice("-> ".length).split(" "), body: unbase64(body) });
  }
  if (stanzas.length === 0) throw disorder();
  return stanzas;
}

function checkX25519({ args, body }: Stanza): Wrapped {
  const share = unbase64(args[1] ?? "");
  if (args.length !== 2 || share.length !== SHARE_SIZE || body.length !== FILE_KEY + TAG_SIZE) throw disorder();
  return { share, body };
}

/** Undefined when it is wrapped for somebody else. */
function unwrap({ share, body }: Wrapped, { secret, recipient }: AgeIdentity): Buffer | undefined {
  const key = derive(agree(share, secret), Buffer.concat([share, recipient]), `${VERSION}/${X25519}`);
  try {
    return unseal(key, Buffer.alloc(12), body);
  } catch {
    return undefined;
  }
}

/** OpenSSL refuses points of small order, with which the shared secret would be zero whatever the key is. */
function agree(share: Buffer, secret: AgeIdentity["secret"]): Buffer {
  try {
    return diffieHellman({ privateKey: secret, publicKey: publicKey(share) });
  } catch {
    throw disorder();
  }
}
