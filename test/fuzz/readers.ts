/**
 * Every reader of what others may have written, with something for it to read. A reader answers, or throws a
 * `KmonteError` or what its caller turns into one (`errors/wrong-input.ts`); everything else is a defect.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { parseRequest } from "../../src/daemon/request.ts";
import { AgeEncryption, AgeFile } from "../../src/image/encryption/age.ts";
import {
  formatIdentity,
  formatRecipient,
  newIdentity,
  parseIdentities,
  parseRecipient,
} from "../../src/image/encryption/age-keys.ts";
import {
  buildHeader,
  extentsOf,
  headerSize,
  LARGEST_HEADER,
  parseSegments,
  planSegments,
} from "../../src/image/core/file.ts";
import { manifestSchema } from "../../src/image/manifest.ts";
import {
  formatPrivateKey,
  formatPublicKey,
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  parseSignature,
  signBytes,
  verifyBytes,
} from "../../src/image/trust/minisign.ts";
import { checkOwned } from "../../src/image/user/ownership.ts";
import { stateSchema, type FrozenState } from "../../src/image/schema.ts";
import { KmonteError } from "../../src/errors/failure.ts";
import { InconsistentImage, MalformedImage, MalformedKey } from "../../src/errors/wrong-input.ts";
import { mutateBytes, mutateValue } from "./mutate.ts";

export interface Reader {
  readonly name: string;
  /** Reads one damaged thing; throws only what is no answer. */
  readonly turn: (next: () => number) => void;
  /** How many turns take about as long as one of the fastest reader's. */
  readonly cost: number;
}

const GUARDED = [KmonteError, InconsistentImage, MalformedImage, MalformedKey];

/** A failure that readers are allowed. */
function allowed(action: () => void, also: readonly (abstract new (...args: never[]) => Error)[] = []): void {
  try {
    action();
  } catch (error) {
    if (![...GUARDED, ...also].some((kind) => error instanceof kind)) throw error;
  }
}

/** What a manifest, a state and a core file of a real image look like. */
export interface Samples {
  readonly manifest: unknown;
  readonly state: unknown;
}

export function readers({ manifest, state }: Samples): Reader[] {
  const pair = generateKeyPair();
  const identity = newIdentity();
  const signed = Buffer.from("what was signed");
  const signature = Buffer.from(signBytes(signed, pair, "timestamp:1\tfile:manifest.json\thashed"));
  const text = (name: string, sample: string, read: (text: string) => void, cost = 1): Reader => ({
    name,
    cost,
    turn: (next) => allowed(() => read(mutateBytes(Buffer.from(sample), next).toString("utf8"))),
  });
  const json = (name: string, sample: unknown, read: (value: unknown) => void, cost: number): Reader => {
    const bytes = Buffer.from(JSON.stringify(sample));
    return {
      name,
      cost,
      turn: (next) => {
        if (next() % 4 > 0) return allowed(() => read(mutateValue(sample, next)));
        allowed(() => read(JSON.parse(mutateBytes(bytes, next).toString("utf8"))), [SyntaxError]);
      },
    };
  };
  const freeze = { verb: "freeze", pids: [7], directory: "/home/u/image", end: "kill", encryptTo: ["age1x"] };
  return [
    {
      name: "signature",
      cost: 4,
      turn: (next) =>
        allowed(() => {
          const damaged = mutateBytes(signature, next);
          const right = verifyBytes(signed, parseSignature(damaged.toString("utf8")), pair);
          if (right && !damaged.equals(signature)) throw new Error("a changed signature was taken");
        }),
    },
    text("public key", formatPublicKey(pair), (key) => void parsePublicKey(key)),
    {
      name: "private key",
      cost: 1,
      // Its file is read behind a guard that turns any failure into KEY_DAMAGED; OpenSSL's errors are of no kind.
      turn: (next) =>
        allowed(() => parsePrivateKey(mutateBytes(Buffer.from(formatPrivateKey(pair)), next).toString()), [Error]),
    },
    text("recipient", formatRecipient(identity.recipient), (key) => void parseRecipient(key)),
    text("identity file", formatIdentity(identity), (key) => void parseIdentities(key)),
    text("request to the service", JSON.stringify(freeze), (line) => void parseRequest(line)),
    json("manifest", manifest, (value) => void v.safeParse(manifestSchema, value), 20),
    json("state", state, (value) => void v.safeParse(stateSchema, value), 100),
    json(
      "state, as a user's",
      state,
      (value) => {
        const parsed = v.safeParse(stateSchema, value);
        if (parsed.success) checkOwned(parsed.output as FrozenState, { uid: 1000, gid: 1000, groups: [] });
      },
      100,
    ),
    coreReader(state),
    ageReader(identity),
  ];
}

/** Program headers, and the way from the mappings of the state to the bytes. */
function coreReader(state: unknown): Reader {
  const { mappings } = (state as FrozenState).processes.find(({ body }) => body)?.body ?? { mappings: [] };
  const header = buildHeader(planSegments(mappings, 100), Buffer.alloc(100));
  return {
    name: "core file",
    cost: 5,
    turn: (next) =>
      allowed(() => {
        const damaged = mutateBytes(header, next);
        const size = headerSize(damaged);
        if (size > LARGEST_HEADER) throw new Error(`a header of ${size} bytes was wanted`);
        const segments = parseSegments(damaged.subarray(0, size));
        for (const mapping of mappings) extentsOf(mapping, segments);
      }),
  };
}

function ageReader(identity: ReturnType<typeof newIdentity>): Reader {
  const folder = mkdtempSync(join(tmpdir(), "kmonte-fuzz-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "file.age");
  const parts: Buffer[] = [];
  const encryption = new AgeEncryption([identity.recipient], (bytes) => parts.push(Buffer.from(bytes)));
  const plain = Buffer.alloc(1000, "x");
  encryption.write(plain);
  encryption.end();
  const whole = Buffer.concat(parts);
  return {
    name: "encrypted file",
    cost: 30,
    turn: (next) =>
      allowed(() => {
        const damaged = mutateBytes(whole, next);
        writeFileSync(path, damaged);
        const fd = openSync(path, "r");
        try {
          const file = AgeFile.open(fd, damaged.length, [identity]);
          const into = Buffer.alloc(Math.min(file?.size ?? 0, plain.length));
          file?.read(into, 0);
          if (file && !damaged.equals(whole)) throw new Error("a changed file was decrypted");
        } finally {
          closeSync(fd);
        }
      }),
  };
}
