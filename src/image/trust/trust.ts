/** Signing an image and deciding whether one is to be trusted: over the manifest, which has every file's digest. */
import { join } from "node:path";
import { failures } from "../../errors/catalogue.ts";
import { MalformedImage } from "../../errors/wrong-input.ts";
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
    throw failures.KEY_REVOKED({
      directory,
      keyId: file.keyId,
      revoked: revoked.path,
      path: join(directory, SIGNATURE),
    });
  }
  if (!key) {
    throw failures.KEY_NOT_TRUSTED({
      directory,
      keyId: file.keyId,
      directoryOfKeys: keyDirectory(),
      path: join(directory, SIGNATURE),
    });
  }
  if (!verifyBytes(manifest, file, key)) {
    throw failures.SIGNATURE_WRONG({ directory, keyId: file.keyId, path: join(directory, MANIFEST) });
  }
  return { keyId: key.id, own: key.own };
}

function readSignature(directory: string, read: () => Buffer | undefined): SignatureFile {
  const path = join(directory, SIGNATURE);
  try {
    return parseSignature(read()?.toString("utf8") ?? "");
  } catch (cause) {
    throw failures.NOT_SIGNED({
      directory,
      isMalformed: cause instanceof MalformedImage,
      errno: codeOf(cause),
      path,
      cause,
    });
  }
}
