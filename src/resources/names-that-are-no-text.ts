/** Names that are no text cannot be written down in state.json. */
import { Refusal } from "../lib/errors.ts";

/** What stands in the place of bytes that are no text (U+FFFD). */
const NOT_UTF8 = "\u{fffd}";

/** Throws a {@link Refusal} when `name`, which `path` has in it, is not valid UTF-8. */
export function refuseNotText(name: string, path: string): void {
  if (!name.includes(NOT_UTF8)) return;
  throw new Refusal(
    "PATH_NOT_TEXT",
    {
      what: `${path} cannot be written down.`,
      why: "Its name, or that of a folder above it, is not valid UTF-8, which state.json is written in.",
      remedy: "Rename it.",
    },
    { path, resource: "file" },
  );
}
