/** The formats of images that there have been, and the way from each to the next. */
import { FORMAT_VERSION } from "../version.ts";
import { manifestFrom1, stateFrom1 } from "./from-1.ts";
import { object, type Carry, type Json } from "./shape.ts";

/** What makes the documents of the next format out of those of one. */
interface Step {
  readonly manifest: Carry;
  readonly state: Carry;
}

/** By the format that they convert from. Nothing of a step is changed any more once its next format has been released. */
const STEPS: Readonly<Record<number, Step>> = {
  1: { manifest: manifestFrom1, state: stateFrom1 },
};

/** Which document of an image. */
export type Document = keyof Step;

/** The format that a document says it has; undefined where it says none. */
export function formatOf(document: unknown): number | undefined {
  const { format } = typeof document === "object" && document !== null ? (document as Json) : {};
  return typeof format === "number" ? format : undefined;
}

/**
 * Takes a document (parsed JSON) from the format that it has to the format `to`, step by step. One that is of that
 * format already, or says no format that there has been, is given back as it is: the schema tells. Throws a MalformedImage
 * that says where the document has something that its format did not have.
 */
export function convertDocument(which: Document, document: unknown, to: number = FORMAT_VERSION): unknown {
  let now = document;
  for (let step; (formatOf(now) ?? to) < to && (step = STEPS[formatOf(now) as number]) !== undefined;)
    now = step[which](object(now, `the ${which}`), which);
  return now;
}
