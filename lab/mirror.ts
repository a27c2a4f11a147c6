/** Which Debian mirror to fetch from: the one that this machine's own package sources name. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../src/errors/failure.ts";

export const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** URI of the Debian mirror: $KMONTE_MIRROR, or the first archive source (not security) of apt on this machine. */
export function debianMirror(etcApt = "/etc/apt"): string {
  const named = process.env["KMONTE_MIRROR"];
  if (named) return named;
  const files = [
    join(etcApt, "sources.list"),
    ...listFiles(join(etcApt, "sources.list.d")).filter((file) => /\.(list|sources)$/.test(file)),
  ];
  for (const file of files.filter((path) => existsSync(path))) {
    const text = readFileSync(file, "utf8");
    const uri = file.endsWith(".sources") ? mirrorInDeb822(text) : mirrorInOneLine(text);
    if (uri) return uri;
  }
  throw new Refusal("NO_DEBIAN_MIRROR", {
    what: "No Debian mirror is known.",
    why: `None of the package sources in ${etcApt} is a Debian archive.`,
    remedy: "Set KMONTE_MIRROR to the URI of a Debian mirror.",
  });
}

/** The first URI of an archive source in the stanza format of apt (deb822). */
export function mirrorInDeb822(text: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "im").exec(stanza)?.[1]?.trim();
    const suites = field("Suites") ?? "";
    const uri = field("URIs")?.split(/\s+/)[0];
    if (field("Enabled") === "no" || !/\bmain\b/.test(field("Components") ?? "")) continue;
    if (uri && isArchive(uri, suites)) return uri.replace(/\/$/, "");
  }
  return undefined;
}

/** The first URI of an archive source in the one-line format of apt. */
export function mirrorInOneLine(text: string): string | undefined {
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+.*\bmain\b/.exec(line.trim());
    if (match?.[1] && match[2] && isArchive(match[1], match[2])) return match[1].replace(/\/$/, "");
  }
  return undefined;
}

function isArchive(uri: string, suites: string): boolean {
  return /\/debian\/?$/.test(uri) && suites.split(/\s+/).some((suite) => suite !== "" && !/security/.test(suite));
}

function listFiles(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}
