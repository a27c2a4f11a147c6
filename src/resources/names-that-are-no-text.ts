/** Names that are no text cannot be written down in state.json. */
import { failures } from "../errors/catalogue.ts";

/** What stands in the place of bytes that are no text (U+FFFD). */
const NOT_UTF8 = "\u{fffd}";

/** Throws a {@link Refusal} when `name`, which `path` has in it, is not valid UTF-8. */
export function refuseNotText(name: string, path: string): void {
  if (!name.includes(NOT_UTF8)) return;
  throw failures.PATH_NOT_TEXT.file({ path });
}
