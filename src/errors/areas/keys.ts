/** Signatures, keys, and encryption. */
import { failed, refused, type Numbers, type Texts } from "../entry.ts";

export const keys = {
  KEY_UNKNOWN: refused(({ id, isOwn }: Texts<"id"> & { readonly isOwn: boolean }) => ({
    what: `The key ${id} cannot be revoked.`,
    why: isOwn ? "It is the one that this machine signs with." : "It is not among the trusted keys.",
    remedy: isOwn ? "Make a new one first: kmonte key new." : "kmonte key list shows those that are.",
  })),
  KEY_EXISTS: refused(({ path }: Texts<"path">) => ({
    what: "There is a key for encryption already.",
    why: `Without ${path}, images that were encrypted to it could not be opened any more.`,
    remedy: "Move it to a safe place first, and name it with --identity for the old images.",
    facts: { path },
  })),
  KEY_EXPOSED: {
    file: refused(({ path, uid, mode, harm }: Texts<"path" | "mode" | "harm"> & Numbers<"uid">) => ({
      what: `${path} cannot be used.`,
      why: `It belongs to user ${uid} with mode ${mode}: others could have ${harm} it.`,
      remedy: "Make a new key with kmonte key new, or correct owner and mode if you know that nobody did.",
      facts: { path },
    })),
    place: refused(({ path, place, uid, mode }: Texts<"path" | "place" | "mode"> & Numbers<"uid">) => ({
      what: `The keys in ${path} cannot be used.`,
      why: `${place} belongs to user ${uid} with mode ${mode}: others could have put something else there.`,
      remedy: `See that the keys are still yours, then give ${place} to root and take the right to write from others (chmod go-w).`,
      facts: { path: place },
    })),
  },
  KEY_DAMAGED: failed(({ path, why }: Texts<"path" | "why">) => ({
    what: `${path} cannot be used.`,
    why: `${why}.`,
    remedy: "Put it back from a backup, or take it away and let kmonte make a new one.",
    facts: { path },
  })),
  KEY_REVOKED: refused(({ directory, keyId, revoked, path }: Texts<"directory" | "keyId" | "revoked" | "path">) => ({
    what: `The image in ${directory} was signed with a key that has been revoked.`,
    why: `Its key ${keyId} was trusted here once (${revoked}).`,
    remedy: `If it was revoked by mistake: kmonte key trust ${revoked}.`,
    facts: { path },
  })),
  KEY_NOT_TRUSTED: refused(
    ({ directory, keyId, directoryOfKeys, path }: Texts<"directory" | "keyId" | "directoryOfKeys" | "path">) => ({
      what: `The image in ${directory} was signed by a stranger.`,
      why: `Its key ${keyId} is not among those trusted here (${directoryOfKeys}).`,
      remedy: "If you know the machine that wrote it: kmonte key trust its-machine.pub.",
      facts: { path },
    }),
  ),
  SIGNATURE_WRONG: refused(({ directory, keyId, path }: Texts<"directory" | "keyId" | "path">) => ({
    what: `The image in ${directory} has been altered.`,
    why: `The signature of key ${keyId} is not that of this manifest.json.`,
    remedy: "Take the image from where it was written; do not thaw this one.",
    facts: { path },
  })),
  NOT_SIGNED: refused(
    ({
      directory,
      isMalformed,
      errno,
      path,
    }: Texts<"directory" | "errno" | "path"> & { readonly isMalformed: boolean }) => ({
      what: `The image in ${directory} is not signed.`,
      why: isMalformed ? `manifest.json.minisig is no signature.` : `manifest.json.minisig cannot be read (${errno}).`,
      remedy: "Thaw it with --unsigned only if you know that nobody could have changed it: it can become any process.",
      facts: { path },
    }),
  ),
};
