/**
 * What is thrown deep down at something that was read and cannot be right. Whoever knows what was read tells it as a
 * failure, with the name of the image or the file. What kmonte itself did wrong is a {@link Defect} and told as one.
 */

/** Bytes of an image, or of a file that goes with it, that are not of their format. */
export class MalformedImage extends Error {
  override readonly name = "MalformedImage";
}

/** Parts of an image, each readable, that do not fit together, or that name what no kernel has. */
export class InconsistentImage extends Error {
  override readonly name = "InconsistentImage";
}

/** A text that is no key of its kind. */
export class MalformedKey extends Error {
  override readonly name = "MalformedKey";
}

/** Something that kmonte takes for certain does not hold. */
export class Defect extends Error {
  override readonly name = "Defect";
}
