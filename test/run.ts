/**
 * What `npm test` runs: every test file, the type check and lint among them (check.test.ts), after installing the
 * Debian packages that they need. Words on the command line choose files: `npm test -- cli lab/parts`; `--thorough` is
 * explained in thorough.ts. The command `kmonte` and the library are what is released, which starts in a third of the
 * time; a test file that is run by itself runs the sources.
 */
import { chmodSync, existsSync, globSync } from "node:fs";
import { join, relative } from "node:path";
import { finished } from "node:stream/promises";
import { run as runFiles } from "node:test";
import { spec } from "node:test/reporters";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { KmonteError } from "../src/errors/failure.ts";
import { temporaryDirectory } from "../lab/lifetime.ts";
import { ensurePackages } from "../scripts/packages.ts";
import { writeReleaseTree } from "../scripts/release-tree.ts";
import { THOROUGH } from "./thorough.ts";

const ROOT = join(import.meta.dirname, "..");

/** Compilers, debuggers and the programs that are frozen; the lab installs what it needs by itself. */
const PACKAGES =
  "gcc libc6-dev gdb elfutils jq redis-server python3 cpio util-linux procps iproute2 man-db minisign nftables age wrk nginx-light redis-tools".split(
    " ",
  );

/** One file at a time on each core, of two at most: tests that watch clocks do not bear a crowded machine. */
const CONCURRENCY = 2;

/** Begun first, so that no long one is left for the end. */
const LONGEST = [
  "lab/swap.",
  "lab/stock-",
  "lab/kernel-arrives.",
  "lab/doctor-guest.",
  "lab/secrets.",
  "lab/doctor.",
  "service.",
];

function files(words: readonly string[]): string[] {
  const all = globSync("test/**/*.test.ts", { cwd: ROOT }).sort();
  const rank = (file: string): number => {
    const found = LONGEST.findIndex((name) => file.startsWith(`test/${name}`));
    return found === -1 ? LONGEST.length : found;
  };
  const byLength = all.toSorted((a, b) => rank(a) - rank(b));
  return words.length === 0 ? byLength : byLength.filter((file) => words.some((word) => file.includes(word)));
}

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({ options: { thorough: { type: "boolean" } }, allowPositionals: true });
  if (values.thorough) process.env[THOROUGH] = "1";
  const chosen = files(positionals);
  if (chosen.length === 0) {
    process.stderr.write(`No test file has ${positionals.join(" or ")} in its name.\n`);
    return 2;
  }
  ensurePackages(PACKAGES);
  // Gone when this program ends: the runner writes to it after the last test.
  // Not in /tmp, which some of them mount over.
  const work = temporaryDirectory("kmonte-tests-", "/var/tmp");
  // Some tests run the command as another user.
  chmodSync(work.path, 0o755);
  const tree = join(work.path, "kmonte");
  await writeReleaseTree(tree);
  process.env["KMONTE_TREE"] = tree;
  // As bin/kmonte sets it; a test file and what it starts share it: all are quicker from the second start on.
  process.env["NODE_COMPILE_CACHE"] = join(tree, "dist/compile-cache");
  process.env["NODE_COMPILE_CACHE_PORTABLE"] = "1";
  // What they thaw is not for the machine to remember.
  process.env["KMONTE_STATE"] = join(work.path, "state");
  const failed = join(work.path, "failed.json");
  const { failures: first, durations } = await pass(chosen, failed, CONCURRENCY);
  process.stdout.write(longest(durations));
  if (first.length === 0) return 0;
  if (first.length > MOST_FLAKES) {
    process.stdout.write(`\nMore than ${MOST_FLAKES} tests failed; they are not tried again.\n`);
    return 1;
  }
  while (!existsSync(failed)) await delay(10);
  // Real programs on a crowded machine: what fails among others gets one more chance by itself, and says so.
  process.stdout.write("\nSome tests failed; each of them once more, one at a time:\n\n");
  const { failures: second } = await pass(chosen, failed, 1);
  const flaky = first.filter((name) => !second.includes(name));
  if (flaky.length > 0)
    process.stdout.write(`\nPassed only at the second try (${flaky.length}): ${flaky.join("; ")}\n`);
  return second.length === 0 ? 0 : 1;
}

/** So many tests may fail at first and pass at their second try. */
const MOST_FLAKES = 3;

/** What one pass over the test files came to. */
interface Outcome {
  /** The names of tests, after those of their files. */
  readonly failures: readonly string[];
  /** By the name of the file, in milliseconds. */
  readonly durations: ReadonlyMap<string, number>;
}

/** Where the time went. */
function longest(durations: Outcome["durations"]): string {
  const lines = [...durations]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 25)
    .map(([file, duration]) => `${(duration / 1000).toFixed(0).padStart(6)} s  ${file}\n`);
  return `\nThe longest files:\n${lines.join("")}`;
}

/** How long one file may take, in milliseconds. */
const PATIENCE_MS = 3_000_000;

/** Runs those of the files that have not passed by what is kept in `memory`; says what that came to. */
async function pass(chosen: readonly string[], memory: string, concurrency: number): Promise<Outcome> {
  const failed = new Map<string, { readonly name: string; readonly nesting: number }[]>();
  const durations = new Map<string, number>();
  const tests = runFiles({
    cwd: ROOT,
    files: chosen.map((file) => join(ROOT, file)),
    concurrency,
    timeout: PATIENCE_MS,
    rerunFailuresFilePath: memory,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  tests.on("test:fail", ({ name, file = "", nesting, details }) => {
    const mine = failed.get(file) ?? [];
    failed.set(file, mine);
    if ("failureType" in details.error && details.error.failureType === "subtestsFailed") {
      // What holds a failed test fails with it. The parts of a test follow from each other: together they are one.
      if (details.type === "suite") return;
      while ((mine.at(-1)?.nesting ?? -1) > nesting) mine.pop();
      mine.push({ name, nesting });
      return;
    }
    mine.push({ name, nesting });
    // The report follows the order of the files, and tells of failures at its end: long after this.
    const { cause } = details.error;
    const said = cause instanceof Error ? cause.message : String(cause ?? details.error.message);
    process.stdout.write(`\n✖ ${relative(ROOT, file)}: ${name}\n${said}\n\n`);
  });
  tests.on("test:summary", ({ file, duration_ms: duration }) => {
    if (file !== undefined) durations.set(relative(ROOT, file), duration);
  });
  const report = tests.compose(spec);
  report.pipe(process.stdout);
  await finished(report);
  const failures = [...failed].flatMap(([file, list]) => list.map(({ name }) => `${relative(ROOT, file)}: ${name}`));
  return { failures: [...new Set(failures)], durations };
}

try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof KmonteError)) throw error;
  process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
  process.exitCode = 1;
}
