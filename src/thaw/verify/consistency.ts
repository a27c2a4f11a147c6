/** An image that is signed and of the right form, and still does not fit together: told as what it is, not as a defect. */
import { failures } from "../../errors/catalogue.ts";
import { InconsistentImage, MalformedImage } from "../../errors/wrong-input.ts";

/** Runs `action`; what it finds wrong with the image becomes a failure of the image. */
export function consistently<T>(directory: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof InconsistentImage || cause instanceof MalformedImage)) throw cause;
    throw failures.IMAGE_INCONSISTENT({ directory, why: cause.message, cause });
  }
}

/**
 * Runs `action`, in which a kind of resource encodes its state for the kernel: a number of the image that its field has
 * no room for makes Node throw a RangeError there.
 */
export function encoded<T>(kind: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new InconsistentImage(`a number in its ${kind} is out of range (${cause.message})`, { cause });
  }
}
