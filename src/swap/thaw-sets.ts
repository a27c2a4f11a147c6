/** Thawing what a departure froze: the set of all that come back together, then the tolerated units one by one. */
import { waitForNetwork } from "./network.ts";
import { ownImages, type Failure, type SwapRecord, type SwapUnit } from "./store.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { thaw, type ThawReport } from "../thaw/thaw.ts";
import { requireUsers } from "../units/dynamic-users.ts";
import { usersOf } from "../units/hand-over.ts";
import { mountAgain } from "../units/machine-mounts.ts";
import { describe } from "./describe-failure.ts";

export interface ThawSetsOptions {
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

export interface ThawedSets {
  readonly processes: ThawReport["processes"];
  readonly living: readonly number[];
  /** The first is the verification of an image where there is a common set. */
  readonly steps: readonly TimedStep[];
  /** When the last process of the common set went on, in milliseconds since the epoch. */
  readonly running: number;
  /** The record's units with what became of each. */
  readonly units: readonly SwapUnit[] | undefined;
}

/** Throws when the common set does not come back, and then no process is left; for a tolerated unit its failure is noted. */
export async function thawSets(record: SwapRecord, options: ThawSetsOptions): Promise<ThawedSets> {
  const reports: ThawReport[] = [];
  const steps: TimedStep[] = [];
  if (record.directory !== undefined) {
    prepare((record.units ?? []).filter(({ directory }) => directory === undefined));
    const report = await thawOne(record.directory, record, options);
    reports.push(report);
    steps.push(...report.steps);
  }
  const common = lastStart(reports);
  const failures = new Map<string, Failure>();
  for (const [directory, units] of ownImages(record)) {
    const [first] = units;
    const start = Date.now();
    options.onProgress?.({ step: `thaw ${first?.name}`, at: start });
    try {
      prepare(units);
      reports.push(await thawOne(directory, record, options));
    } catch (error) {
      failures.set(directory, describe(error));
    }
    steps.push({ step: `thaw ${first?.name}`, start, end: Date.now() });
  }
  return {
    processes: reports.flatMap(({ processes }) => processes),
    living: reports.flatMap(({ living }) => living),
    steps,
    running: common ?? lastStart(reports) ?? Date.now(),
    units: record.units?.map((unit) => becameOf(unit, reports, failures)),
  };
}

/** What units need of the machine before their processes are there. */
function prepare(units: readonly SwapUnit[]): void {
  requireUsers(usersOf(units));
  mountAgain(units.flatMap(({ mounts = [] }) => mounts));
}

function thawOne(directory: string, record: SwapRecord, options: ThawSetsOptions): Promise<ThawReport> {
  return thaw({
    directory,
    after: waitForNetwork(record.network ?? [], options.signal),
    // Who ran on a kernel that was given up ended with it.
    again: (record.attempts?.length ?? 0) > 1,
    ...(options.onProgress && { onProgress: options.onProgress }),
    ...(options.signal && { signal: options.signal }),
  });
}

function lastStart(reports: readonly ThawReport[]): number | undefined {
  const times = reports.flatMap(({ processes }) => processes.flatMap(({ runningAt }) => runningAt ?? []));
  return times.length === 0 ? undefined : Math.max(...times);
}

/** What an earlier try has noted of the unit is of that try alone. */
function becameOf(noted: SwapUnit, reports: readonly ThawReport[], failures: ReadonlyMap<string, Failure>): SwapUnit {
  const { running: _, failure: __, ...unit } = noted;
  const { processes, directory } = unit;
  const failure = directory === undefined ? undefined : failures.get(directory);
  if (failure) return { ...unit, failure };
  const pids = new Set(processes.map(({ pid }) => pid));
  const own = reports.map((report) => ({ ...report, processes: report.processes.filter(({ pid }) => pids.has(pid)) }));
  return { ...unit, running: lastStart(own) };
}
