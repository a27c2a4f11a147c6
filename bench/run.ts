/**
 * Measures kmonte against criu, in turn, on the same loads: `node bench/run.ts [LOAD…] [--runs N] [--json]`. Needs
 * root. Images lie on tmpfs, so that disks play no part. Prints medians and their ratios as a table.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { loads, type Load } from "./loads.ts";
import { endTree } from "./end-tree.ts";
import { criu, ensureCriu, imageBytes, kmonte, type Tool } from "./tools.ts";

interface Sample {
  readonly frozen: number;
  readonly freeze: number;
  readonly thaw: number;
  readonly mib: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string" }, json: { type: "boolean" }, only: { type: "string" } },
});

async function measure(load: Load, tool: Tool): Promise<Sample> {
  const directory = mkdtempSync("/dev/shm/kmonte-bench-");
  let pid = 0;
  try {
    pid = await load.start(directory);
    const image = join(directory, "frozen");
    mkdirSync(image);
    const { wall, frozen } = tool.freeze(pid, image, load.criu ?? []);
    for (let i = 0; i < 1000 && existsSync(`/proc/${pid}`); i += 1) await sleep(10);
    await sleep(50);
    const mib = imageBytes(image) / 2 ** 20;
    const thaw = tool.thaw(image, load.criu ?? []);
    return { frozen, freeze: wall, thaw, mib };
  } finally {
    if (pid > 0) await endTree(pid);
    rmSync(directory, { recursive: true, force: true });
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

function medians(samples: readonly Sample[]): Sample {
  const of = (field: keyof Sample): number => median(samples.map((sample) => sample[field]));
  return { frozen: of("frozen"), freeze: of("freeze"), thaw: of("thaw"), mib: of("mib") };
}

function row(title: string, ours: Sample, theirs: Sample | undefined): string {
  const cell = (field: keyof Sample): string => {
    const value = (number: number): string =>
      Number.isNaN(number) ? "–" : number < 10 ? number.toFixed(1) : number.toFixed(0);
    if (!theirs) return value(ours[field]);
    const ratio = Number.isNaN(theirs[field]) ? "" : ` = ${(ours[field] / theirs[field]).toFixed(2)}`;
    return `${value(ours[field])} / ${value(theirs[field])}${ratio}`;
  };
  return `| ${title} | ${cell("frozen")} | ${cell("freeze")} | ${cell("thaw")} | ${cell("mib")} |`;
}

const tools: Tool[] = values.only === "kmonte" ? [kmonte] : values.only === "criu" ? [criu] : [kmonte, criu];
if (tools.includes(criu)) console.error(await ensureCriu());
const results: Record<string, Record<string, Sample>> = {};
if (!values.json) {
  console.log("| load | frozen, ms | freeze, ms | thaw, ms | image, MiB |\n|---|---|---|---|---|");
}
for (const load of loads) {
  if (positionals.length > 0 && !positionals.includes(load.name)) continue;
  const samples = new Map<Tool, Sample[]>(tools.map((tool) => [tool, []]));
  for (let i = 0; i < Number(values.runs ?? load.runs); i += 1) {
    for (const tool of tools) {
      try {
        samples.get(tool)?.push(await measure(load, tool));
      } catch (error) {
        // What criu does not take says nothing of kmonte.
        if (tool !== criu) throw error;
        console.error((error as Error).message);
      }
    }
  }
  const byTool = Object.fromEntries(tools.map((tool) => [tool.name, medians(samples.get(tool) ?? [])]));
  results[load.name] = byTool;
  const [first, second] = tools.map((tool) => byTool[tool.name] as Sample);
  if (!values.json && first) console.log(row(load.title, first, second));
}
if (values.json) console.log(JSON.stringify(results, undefined, 1));
