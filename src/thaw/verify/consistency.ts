/** An image that is signed and of the right form, and still does not fit together: told as what it is, not as a defect. */
import { KmonteError } from "../../lib/errors.ts";

/** Runs `action`; a RangeError, which kinds of resource throw for what cannot be meant, becomes a failure of the image. */
export function consistently<T>(directory: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new KmonteError(
      "IMAGE_INCONSISTENT",
      {
        what: `The image in ${directory} does not fit together; nothing was left running.`,
        why: `${cause.message}.`,
        remedy: "Take the image from a copy, or report it together with the kmonte that wrote it.",
      },
      { facts: { path: directory }, cause },
    );
  }
}
