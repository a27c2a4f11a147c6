/** Signing an image and deciding whether one is to be trusted: over the manifest, which has every file's digest. */
import { join } from "node:path";
import { Refusal } from "../../lib/errors.ts";
import { keyDirectory, machineKey, revokedKeys, trustedKeys } from "./keys.ts";
import { codeOf } from "../source.ts";
import { MANIFEST } from "../manifest.ts";
import { parseSignature, signBytes, verifyBytes, type SignatureFile } from "./minisign.ts";

export const SIGNATURE = `${MANIFEST}.minisig`;

/** The text of the signature file for these bytes of a manifest. */
export function signManifest(manifest: Buffer): string {
  const comment = `timestamp:${Math.floor(Date.now() / 1000)}\tfile:${MANIFEST}\thashed`;
  return signBytes(manifest, machineKey(), comment);
}

/** Who signed an image. */
export interface Signer {
  readonly keyId: string;
  readonly own: boolean;
}

/**
 * Throws a {@link Refusal} unless the manifest's bytes are signed by a key that is trusted here. `read` gives the
 * signature file, or undefined when that is too large to be one.
 */
export function verifyManifest(directory: string, manifest: Buffer, read: () => Buffer | undefined): Signer {
  const file = readSignature(directory, read);
  const keys = trustedKeys();
  const key = keys.find((candidate) => candidate.id === file.keyId);
  const revoked = key ? undefined : revokedKeys().find(({ id }) => id === file.keyId);
  if (revoked && verifyBytes(manifest, file, revoked)) {
    throw new Refusal(
      "KEY_REVOKED",
      {
        what: `The image in ${directory} was signed with a key that has been revoked.`,
        why: `Its key ${file.keyId} was trusted here once (${revoked.path}).`,
        remedy: `If it was revoked by mistake: kmonte key trust ${revoked.path}.`,
      },
      { path: join(directory, SIGNATURE) },
    );
  }
  if (!key) {
    throw new Refusal(
      "KEY_NOT_TRUSTED",
      {
        what: `The image in ${directory} was signed by a stranger.`,
        why: `Its key ${file.keyId} is not among those trusted here (${keyDirectory()}).`,
        remedy: "If you know the machine that wrote it: kmonte key trust its-machine.pub.",
      },
      { path: join(directory, SIGNATURE) },
    );
  }
  if (!verifyBytes(manifest, file, key)) {
    throw new Refusal(
      "SIGNATURE_WRONG",
      {
        what: `The image in ${directory} has been altered.`,
        why: `The signature of key ${file.keyId} is not that of this ${MANIFEST}.`,
        remedy: "Take the image from where it was written; do not thaw this one.",
      },
      { path: join(directory, MANIFEST) },
    );
  }
  return { keyId: key.id, own: key.own };
}

function readSignature(directory: string, read: () => Buffer | undefined): SignatureFile {
  const path = join(directory, SIGNATURE);
  try {
    return parseSignature(read()?.toString("utf8") ?? "");
  } catch (cause) {
    throw new Refusal(
      "NOT_SIGNED",
      {
        what: `The image in ${directory} is not signed.`,
        why:
          cause instanceof RangeError
            ? `${SIGNATURE} is no signature.`
            : `${SIGNATURE} cannot be read (${codeOf(cause)}).`,
        remedy:
          "Thaw it with --unsigned only if you know that nobody could have changed it: it can become any process.",
      },
      { path },
      cause,
    );
  }
}
