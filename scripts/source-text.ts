/** Reading TypeScript as text, as far as a list of error messages needs it: arguments of a call, and text in them. */

const OPENING = "([{";
const CLOSING = ")]}";

/** The arguments of a call whose opening bracket ends before `at`, as source text. */
export function callArguments(source: string, at: number): string[] {
  const found: string[] = [];
  let start = at;
  let depth = 0;
  for (let i = at; i < source.length; i = next(source, i)) {
    const character = source[i] ?? "";
    if (depth === 0 && (character === "," || CLOSING.includes(character))) {
      found.push(source.slice(start, i).trim());
      start = i + 1;
      if (character !== ",") break;
    } else if (OPENING.includes(character)) depth += 1;
    else if (CLOSING.includes(character)) depth -= 1;
  }
  return found.filter((argument) => argument !== "");
}

/** The place after the character, text or comment at `i`. */
function next(source: string, i: number): number {
  const character = source[i] ?? "";
  if (source.startsWith("//", i)) return source.indexOf("\n", i);
  if (!"\"'`".includes(character)) return i + 1;
  for (let end = i + 1; end < source.length; end += 1) {
    if (source[end] === "\\") end += 1;
    else if (character === "`" && source.startsWith("${", end)) end = endOfHole(source, end + 2);
    else if (source[end] === character) return end + 1;
  }
  return source.length;
}

/** Where the `}` of a template's `${…}` stands. */
function endOfHole(source: string, at: number): number {
  let depth = 0;
  for (let i = at; i < source.length; i = next(source, i)) {
    if (source[i] === "{") depth += 1;
    else if (source[i] === "}" && depth-- === 0) return i;
  }
  return source.length;
}

/**
 * The text of `field: "…"` in some source, or of the whole of it when it is a text itself. Holes become …; of several
 * texts that a condition chooses from, the first is taken.
 */
export function textOf(source: string | undefined, field: string | undefined): string | undefined {
  if (source === undefined) return undefined;
  let at = 0;
  if (field !== undefined) {
    const found = new RegExp(`\\b${field}:\\s*`).exec(source);
    if (!found) return undefined;
    at = found.index + found[0].length;
    // A type or a variable of the same name is no text.
    const value = callArguments(`${source.slice(at)})`, 0)[0] ?? "";
    at += /["'`]/.exec(value)?.index ?? Number.POSITIVE_INFINITY;
  }
  if (!"\"'`".includes(source[at] ?? " ")) return undefined;
  return withoutHoles(source.slice(at + 1, next(source, at) - 1));
}

function withoutHoles(text: string): string {
  let result = "";
  for (let i = 0; i < text.length; i += 1) {
    if (text.startsWith("${", i)) {
      i = endOfHole(text, i + 2);
      result += "…";
    } else if (text[i] === "\\" && text[i + 1] === "n") {
      result += " ";
      i += 1;
    } else if (text[i] !== "\\") result += text[i];
  }
  return result.replaceAll("<", "\\<").trim();
}
