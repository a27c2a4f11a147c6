/** The frozen form: directories, files, formats, and whether it was thawed before. */
import { failed, refused, type Numbers, type Texts } from "../entry.ts";
import type { FailureFacts, FailureText } from "../failure.ts";

/** A file of an image, by its name and by its path. */
type ImageFile = Texts<"directory" | "name" | "path">;

function damaged(
  { directory, path }: Texts<"directory" | "path">,
  why: string,
): FailureText & { readonly facts: FailureFacts } {
  return {
    what: `The image in ${directory} is damaged.`,
    why,
    remedy: "Take the image from a copy; nothing was thawed.",
    facts: { path },
  };
}

export const image = {
  IMAGE_WRITE: {
    chunk: failed(({ chunk }: Numbers<"chunk">) => ({
      what: "The image could not be written; the processes go on as they were.",
      why: `Chunk ${chunk} of a core file did not read back as it was written.`,
      remedy: "Look for failures of the disk, or choose another file system.",
      facts: { errno: "EIO" },
    })),
    call: failed(({ path, errno, remedy }: Texts<"path" | "errno" | "remedy">) => ({
      what: "The image could not be written; the processes go on as they were.",
      why: `Writing ${path} failed with ${errno}.`,
      remedy,
      facts: { path, errno },
    })),
  },
  FORMAT_PRESENT: refused(({ directory, supported }: Texts<"directory"> & Numbers<"supported">) => ({
    what: `The image in ${directory} was not converted.`,
    why: `It is of format ${supported} already.`,
    remedy: "Copy the directory (cp -a) if you want it in another place.",
    facts: { path: directory },
  })),
  DIRECTORY_NOT_PRIVATE: refused(({ name }: Texts<"name">) => ({
    what: "The image was not written: others could have read it.",
    why: `The file system that ${name} is on has no modes for files (chmod(2)).`,
    remedy: "Choose a directory on another file system.",
  })),
  DIRECTORY_REPLACED: refused(({ name }: Texts<"name">) => ({
    what: "The image was not written.",
    why: `Somebody put something else in the place of ${name} while it was being made.`,
    remedy: "Choose a directory that nobody else can write to.",
  })),
  IMAGE_DAMAGED: refused(({ directory, why, path }: Texts<"directory" | "why" | "path">) => ({
    what: `The image in ${directory} is damaged.`,
    why,
    remedy: "Take the image from a copy.",
    facts: { path },
  })),
  IMAGE_ENCRYPTED: refused(({ directory, keys }: Texts<"directory"> & Numbers<"keys">) => ({
    what: `The image in ${directory} is encrypted.`,
    why: keys === 0 ? "No key was named." : "It was not encrypted to any of the keys named.",
    remedy: "Name the file with the key: --identity FILE.",
    facts: { path: directory },
  })),
  NOT_AN_IMAGE: refused(({ directory, why }: Texts<"directory" | "why">) => ({
    what: `${directory} is not a frozen image.`,
    why,
    remedy: "Name the directory that kmonte freeze wrote.",
    facts: { path: directory },
  })),
  IMAGE_EXPIRED: refused(({ directory, expiresAt }: Texts<"directory" | "expiresAt">) => ({
    what: `The image in ${directory} has expired.`,
    why: `Whoever froze it wanted it to be refused from ${expiresAt} on.`,
    remedy: "It cannot be thawed any more; freeze without --expires what shall last.",
    facts: { path: directory },
  })),
  FORMAT_NEWER: refused(({ directory, format, supported }: Texts<"directory"> & Numbers<"format" | "supported">) => ({
    what: `${directory} was written by a newer kmonte.`,
    why: `It has format ${format}; this kmonte knows formats up to ${supported}.`,
    remedy: "Use the kmonte that wrote it, or a newer one.",
    facts: { path: directory },
  })),
  IMAGE_NOT_JSON: refused(({ directory, name, path }: Texts<"directory" | "name" | "path">) => ({
    what: `The image in ${directory} is damaged.`,
    why: `${name} is not JSON.`,
    remedy: "Take it from a copy.",
    facts: { path },
  })),
  IMAGE_SCHEMA: refused(({ directory, name, why, path }: Texts<"directory" | "name" | "why" | "path">) => ({
    what: `The image in ${directory} is not of the form that this kmonte knows.`,
    why: `${name}: ${why}.`,
    remedy: "Use the kmonte that wrote it.",
    facts: { path },
  })),
  FORMAT_NOT_CONVERTED: refused(
    ({
      directory,
      format,
      supported,
      name,
      why,
      path,
    }: Texts<"directory" | "name" | "why" | "path"> &
      Numbers<"supported"> & { readonly format?: number | undefined }) => ({
      what: `The image in ${directory} cannot be converted from format ${format} to ${supported}.`,
      why: `${name}: ${why}.`,
      remedy: "Use the kmonte that wrote it.",
      facts: { path },
    }),
  ),
  IMAGE_COPY: failed(({ directory, name, target, errno }: Texts<"directory" | "name" | "target" | "errno">) => ({
    what: `The image in ${directory} could not be copied to where nobody can change it.`,
    why: `Copying ${name} to ${target} failed with ${errno}.`,
    remedy: "Make room there; nothing was thawed.",
    facts: { path: name },
  })),
  IMAGE_UNREADABLE: refused(({ directory, why, name }: Texts<"directory" | "why" | "name">) => ({
    what: `The image in ${directory} cannot be read.`,
    why,
    remedy: "Take the image from a copy.",
    facts: { path: name },
  })),
  THAW_CUT_SHORT: refused(
    ({ shown, at, remedy }: Texts<"shown" | "remedy"> & { readonly at?: string | undefined }) => ({
      what: `Whether the processes of the image in ${shown} have gone on is not known.`,
      why: `A thaw${at === undefined ? "" : ` at ${at}`} was cut short, as by a power cut, in the moment in which it let them go on.`,
      remedy: `If they have not, or what they did since does not matter: ${remedy}`,
      facts: { path: shown },
    }),
  ),
  ALREADY_THAWED: refused(({ shown, at, kernel, remedy }: Texts<"shown" | "at" | "kernel" | "remedy">) => ({
    what: `The image in ${shown} has been thawed already.`,
    why: `Its processes went on at ${at}, on Linux ${kernel}; files and peers have gone on with them.`,
    remedy,
    facts: { path: shown },
  })),
  THAW_IN_PROGRESS: refused(({ shown }: Texts<"shown">) => ({
    what: `The image in ${shown} is being thawed by another kmonte.`,
    why: "It is about to let the processes go on, from this directory or from a copy of it.",
    remedy: "Wait for it; kmonte thaw then says whether they live.",
    facts: { path: shown },
  })),
  THAWED_REGISTER: failed(({ path, errno }: Texts<"path" | "errno">) => ({
    what: "Nothing was thawed: the machine could not note that the image is.",
    why: `Working on ${path} failed with ${errno}.`,
    remedy: "See that it can be written to and has room, or name another place in KMONTE_STATE, always the same.",
    facts: { path, errno },
  })),
  DIRECTORY_NOT_USABLE: refused(({ directory, why }: Texts<"directory" | "why">) => ({
    what: `${directory} cannot hold an image.`,
    why,
    remedy: "Choose another directory.",
    facts: { path: directory },
  })),
  DIRECTORY_PARENT: refused(
    ({ directory, parent, exists }: Texts<"directory" | "parent"> & { readonly exists: boolean }) => ({
      what: `The image cannot be written to ${directory}.`,
      why: `${parent} ${exists ? "is no directory" : "does not exist"}.`,
      remedy: "Make it first, or choose another place.",
      facts: { path: directory },
    }),
  ),
  DIRECTORY_NOT_EMPTY: refused(
    ({ directory, count, first }: Texts<"directory"> & Numbers<"count"> & { readonly first?: string | undefined }) => ({
      what: `${directory} is not empty.`,
      why: `It holds ${count} ${count === 1 ? "entry" : "entries"}, such as ${first}.`,
      remedy: "Choose a directory that is empty or does not exist yet.",
      facts: { path: directory },
    }),
  ),

  IMAGE_FILE_MISSING: refused(({ directory, name, path, isThere }: ImageFile & { readonly isThere: boolean }) =>
    damaged({ directory, path }, `${name} is ${isThere ? "no regular file" : "missing"}.`),
  ),
  IMAGE_FILE_SIZE: refused(({ directory, name, path, size, wanted }: ImageFile & Numbers<"size" | "wanted">) =>
    damaged({ directory, path }, `${name} has ${size} bytes instead of ${wanted}.`),
  ),
  IMAGE_FILE_DIGEST: refused(({ directory, name, path, chunk }: ImageFile & Numbers<"chunk">) =>
    damaged({ directory, path }, `${name} is not what was written (chunk ${chunk} has another digest).`),
  ),
  THAWED_MARK_BROKEN: refused(({ shown, mark, path }: Texts<"shown" | "mark" | "path">) => ({
    what: `Whether ${shown} was thawed before is not known.`,
    why: `Its ${mark} cannot be read as a mark.`,
    remedy: "Remove that file only if you know that the processes did not go on from this image.",
    facts: { path },
  })),
  DISK_FULL: failed(({ path, errno }: Texts<"path" | "errno">) => ({
    what: "The image could not be written; the processes go on as they were.",
    why: `Writing ${path} failed with ${errno}: there is no room left.`,
    remedy: "Free some space or choose another file system.",
    facts: { path, errno },
  })),
};
