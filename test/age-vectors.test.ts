/** The published test vectors of age's format (test/age-vectors/), each opened by kmonte's own reader. */
import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { inflateSync } from "node:zlib";
import { MalformedImage } from "../src/errors/wrong-input.ts";
import { buildHeader, derive, openHeader } from "../src/image/encryption/age-header.ts";
import { AgeEncryption, AgeFile } from "../src/image/encryption/age.ts";
import { newIdentity, parseIdentities, type AgeIdentity } from "../src/image/encryption/age-keys.ts";

const VECTORS = join(import.meta.dirname, "age-vectors/testdata");
const CHUNK = 64 * 1024;
const folder = mkdtempSync(join(tmpdir(), "kmonte-age-vectors-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the vectors know as ends, all but failures of armor. */
type End = "success" | "no match" | "header failure" | "HMAC failure" | "payload failure";

interface Vector {
  readonly expect: End;
  /** SHA-256, in hexadecimal, of what may be handed out; without it nothing may. */
  readonly payload: string;
  readonly identities: readonly AgeIdentity[];
  readonly withPassphrase: boolean;
  readonly file: Buffer;
}

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const NOTHING = digest(Buffer.alloc(0));

/** Keys that the vectors' own README defines; a vector with another one would mean something that this test misses. */
const KEYS = ["expect", "payload", "identity", "passphrase", "file key", "compressed", "comment"];

function readVector(name: string): Vector {
  const bytes = readFileSync(join(VECTORS, name));
  const end = bytes.indexOf("\n\n");
  const lines = bytes.subarray(0, end).toString().split("\n");
  const entries = lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)] as const);
  for (const [key] of entries) assert.ok(KEYS.includes(key), `${name}: ${key}`);
  const all = (key: string): string[] => entries.filter(([of]) => of === key).map(([, value]) => value);
  const file = bytes.subarray(end + 2);
  const identities = all("identity");
  return {
    expect: all("expect")[0] as End,
    payload: all("payload")[0] ?? NOTHING,
    identities: identities.length === 0 ? [] : parseIdentities(identities.join("\n")),
    withPassphrase: all("passphrase").length > 0,
    file: all("compressed")[0] === "zlib" ? inflateSync(file) : file,
  };
}

/** Reads a file chunk by chunk: how that ends, and the digest of all that was handed out until then. */
function decrypt(file: Buffer, identities: readonly AgeIdentity[]): { readonly end: End; readonly digest: string } {
  const path = join(folder, "file.age");
  writeFileSync(path, file);
  const fd = openSync(path, "r");
  const parts: Buffer[] = [];
  const ended = (end: End): { end: End; digest: string } => ({ end, digest: digest(Buffer.concat(parts)) });
  try {
    const opened = AgeFile.open(fd, file.length, identities);
    if (!opened) return ended("no match");
    for (let at = 0; at < opened.size; at += CHUNK) {
      const part = Buffer.alloc(Math.min(CHUNK, opened.size - at));
      opened.read(part, at);
      parts.push(part);
    }
    return ended("success");
  } catch (error) {
    return ended(failureOf(error));
  } finally {
    closeSync(fd);
  }
}

function failureOf(error: unknown): End {
  // Anything but a MalformedImage is a defect of the reader, not of the file.
  if (!(error instanceof MalformedImage)) throw error;
  if (/altered/.test(error.message)) return "HMAC failure";
  if (/cut short|not what was encrypted/.test(error.message)) return "payload failure";
  assert.match(error.message, /^its header is not in order|^the header is not in base64|^it is no file of age/);
  return "header failure";
}

/** The nonce in front of the chunks is the payload's in the specification; the vectors count it as the header's. */
const NONCE = ["stream_no_nonce", "stream_short_nonce"];
/** Headers with scrypt stanzas that are wrong for readers without a passphrase too. */
const SCRYPT_HEADERS = ["scrypt_and_x25519", "scrypt_double", "scrypt_not_canonical_body"];

/**
 * What may be handed out before a failure is found. A last chunk that is not in order is found when the file is opened,
 * where a reader of streams has handed out all before it. Here the second of three chunks is marked as the last too: such
 * a reader takes it, this one hands out the first alone (the vectors stream_bad_tag_second_chunk and others have its digest).
 */
const BEGINNING: Readonly<Record<string, string>> = {
  stream_two_final_chunks_second: readVector("stream_bad_tag_second_chunk").payload,
};

function expected(name: string, { expect, withPassphrase }: Vector): End {
  if (NONCE.includes(name)) return "payload failure";
  return withPassphrase && !SCRYPT_HEADERS.includes(name) ? "no match" : expect;
}

describe("the vectors", () => {
  const names = readdirSync(VECTORS);
  test("are all there", () => {
    assert.equal(names.length, 91);
    assert.equal(names.filter((name) => name.startsWith("scrypt")).length, 25);
  });
  for (const name of names) {
    const vector = readVector(name);
    test(`${name}: ${vector.expect}`, () => {
      const { end, digest: got } = decrypt(vector.file, vector.identities);
      assert.equal(end, expected(name, vector));
      assert.equal(got, end === "success" ? vector.payload : (BEGINNING[name] ?? NOTHING));
    });
  }
});

describe("what no vector shows", () => {
  const identity = newIdentity();
  const fileKey = randomBytes(16);
  const built = buildHeader(fileKey, [identity.recipient]).toString();
  const stanza = built.slice(built.indexOf("\n") + 1, built.lastIndexOf("---"));

  /** A header with these stanzas and a MAC that fits. */
  function headerOf(...stanzas: readonly string[]): Buffer {
    const text = `age-encryption.org/v1\n${stanzas.join("")}---`;
    const mac = createHmac("sha256", derive(fileKey, Buffer.alloc(0), "header"))
      .update(text)
      .digest("base64");
    return Buffer.from(`${text} ${mac.replaceAll("=", "")}\n`);
  }
  const refused = (...stanzas: readonly string[]): void =>
    assert.throws(() => openHeader(headerOf(...stanzas), [identity]), /its header is not in order/);

  test("a stanza of scrypt beside ours is refused, before it or behind it; another kind's is passed over", () => {
    const other = (kind: string): string => `-> ${kind} AAAAAAAAAAAAAAAAAAAAAA 10\n${"A".repeat(43)}\n`;
    assert.deepEqual(openHeader(headerOf(stanza), [identity])?.fileKey, fileKey);
    assert.deepEqual(openHeader(headerOf(stanza, other("Scrypt")), [identity])?.fileKey, fileKey);
    refused(stanza, other("scrypt"));
    refused(other("scrypt"), stanza);
  });

  test("a header without stanzas is refused", () => refused());

  test("a stanza of X25519 that is not in order is refused behind ours too", () => {
    refused(stanza, `-> X25519 AAAA\n${"A".repeat(43)}\n`);
  });

  test("the text form is no file of age", () => {
    const parts: Buffer[] = [];
    const encryption = new AgeEncryption([identity.recipient], (bytes) => parts.push(bytes));
    encryption.write(Buffer.from("secret"));
    encryption.end();
    const file = Buffer.concat(parts);
    const text = file.toString("base64").replaceAll(/.{64}/g, "$&\n");
    const armored = `-----BEGIN AGE ENCRYPTED FILE-----\n${text}\n-----END AGE ENCRYPTED FILE-----\n`;
    assert.deepEqual(decrypt(file, [identity]), { end: "success", digest: digest(Buffer.from("secret")) });
    assert.equal(decrypt(Buffer.from(armored), [identity]).end, "header failure");
  });

  test("a chunk in the middle that was altered is not handed out", () => {
    const parts: Buffer[] = [];
    const encryption = new AgeEncryption([identity.recipient], (bytes) => parts.push(Buffer.from(bytes)));
    const plain = Buffer.alloc(3 * CHUNK + 1, "kmonte");
    encryption.write(plain);
    encryption.end();
    const file = Buffer.concat(parts);
    // From the end: one byte with its tag, the third chunk with its tag, and the tag of the second.
    const at = file.length - 17 - (CHUNK + 16) - 1;
    file.writeUInt8(file.readUInt8(at) ^ 1, at);
    assert.deepEqual(decrypt(file, [identity]), { end: "payload failure", digest: digest(plain.subarray(0, CHUNK)) });
  });
});
