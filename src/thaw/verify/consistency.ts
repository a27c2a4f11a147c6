/** An image that is signed and of the right form, and still does not fit together: told as what it is, not as a defect. */
import { failures } from "../../errors/catalogue.ts";

/** Runs `action`; a RangeError, which kinds of resource throw for what cannot be meant, becomes a failure of the image. */
export function consistently<T>(directory: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw failures.IMAGE_INCONSISTENT({ directory, why: cause.message, cause });
  }
}
