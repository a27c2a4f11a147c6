/** HTML as text in which everything that is not markup of ours is escaped. */

/** Markup that is ready to be put into a page. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | undefined | readonly Part[];

/** A template: what stands between its strings is escaped, unless it is {@link Html}; undefined is nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((string, i) => string + (i < parts.length ? textOf(parts[i]) : "")).join(""));
}

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(textOf).join("");
  return escape(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** What no page may contain at all (control characters, what turns the direction of writing round) is shown as � . */
function escape(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, (one) => (/[\n\t]/.test(one) ? one : "\u{FFFD}"))
    .replace(/[&<>"']/g, (one) => ENTITIES[one] as string);
}
