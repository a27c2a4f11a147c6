/**
 * Compiles and bundles what is released: a file for the command line, one for each program or thread that is started by
 * itself, and what they share. Starting takes a third of the time that the single files take. Called as
 * `node scripts/bundle.ts [FOLDER]`; FOLDER is dist when it is not given.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile } from "esbuild";
import { writeSnapshot } from "./snapshot.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** What is started by itself: lib/program-files.ts finds these by their paths. */
const ENTRIES = ["cli/main", "freeze/worker", "thaw/worker", "image/chunk-worker", "daemon/request-main", "index"];

/** Libraries of CommonJS in a bundle of modules ask for it. */
const REQUIRE =
  'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);';

export async function bundle(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.map((name) => `src/${name}.ts`),
    outbase: "src",
    outdir: folder,
    bundle: true,
    splitting: true,
    // As deep as the entries: what looks for files beside it finds them from either.
    chunkNames: "lib/[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "node24",
    // A binary of its own comes with it.
    external: ["koffi"],
    banner: { js: REQUIRE },
    minifySyntax: true,
    keepNames: true,
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  writeFileSync(join(folder, "THIRD-PARTY-LICENSES"), licenses(metafile));
  await writeSnapshot(folder);
  // koffi, which is not in the bundle, is found beside the project or package.
  if (existsSync(join(folder, "../node_modules/koffi"))) warmCache(folder);
}

/** Starts each of them once, so that what V8 has compiled lies beside them (NODE_COMPILE_CACHE of node(1)). */
function warmCache(folder: string): void {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, "compile-cache"), NODE_COMPILE_CACHE_PORTABLE: "1" };
  // Outside of the command line they do nothing; request-main would wait for a request.
  const starts = ENTRIES.filter((name) => !["cli/main", "daemon/request-main"].includes(name)).map((name) => [
    join(folder, `${name}.js`),
  ]);
  for (const args of [...starts, [join(folder, "cli/main.js"), "swap", "--help"]])
    execFileSync(process.execPath, args, { env, stdio: "ignore", timeout: 60_000 });
}

/** The licences of the libraries in the bundle, as these ask for. */
function licenses({ inputs }: Metafile): string {
  const names = Object.keys(inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  const texts = [...new Set(names)]
    .filter((name) => name !== undefined)
    .map((name) => {
      const directory = join(ROOT, "node_modules", name);
      const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
      if (file === undefined) throw new Error(`${name} has no licence file`);
      return `${name}\n\n${readFileSync(join(directory, file), "utf8").trim()}\n`;
    });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(ROOT, "dist"));
  await bundle(folder);
  if (!existsSync(join(folder, "cli/main.js"))) throw new Error("the bundle has no command line");
}
