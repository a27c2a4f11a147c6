/** Records of swaps for tests of what is told of them, written by the code that writes them. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { newSwapDirectory, type SwapRecord, type SwapUnit, writeRecord } from "../src/swap/store.ts";
import { changeAttempt, type Here, withAttempt } from "../src/swap/trial.ts";
import { KMONTE, launch, type Outcome } from "./kmonte.ts";

export const START = Date.UTC(2026, 10, 30, 3, 12);

/** Steps one after the other, in milliseconds; `stop` is at {@link START}. */
function steps(...took: readonly (readonly [string, number])[]): SwapRecord["steps"] {
  let at =
    START -
    took
      .slice(
        0,
        took.findIndex(([step]) => step === "stop"),
      )
      .reduce((sum, [, ms]) => sum + ms, 0);
  return took.map(([step, ms]) => ({ step, start: at, end: (at += ms) }));
}

const LEAVING = [
  ["stop-others", 2400],
  ["load", 900],
  ["copy", 1500],
  ["stop", 80],
  ["look", 700],
  ["write", 400],
  ["commit", 100],
  ["sync", 220],
] as const;
const COMING = [
  ["kexec", 900],
  ["kernel", 3100],
  ["initramfs", 1500],
  ["userland", 400],
  ["kmonte starts", 900],
  ["verify", 300],
  ["network", 100],
  ["check", 50],
  ["build", 600],
  ["resume", 650],
] as const;
export const ALL = steps(...LEAVING, ...COMING);
export const END = ALL.at(-1)?.end ?? 0;

export function unit(name: string, mainPid: number, more: Partial<SwapUnit> = {}): SwapUnit {
  return {
    name,
    mainPid,
    description: `What ${name} does`,
    slice: "system.slice",
    processes: [{ pid: mainPid, group: "" }],
    stopped: START + 40,
    running: END - 200,
    after: { name, activeState: "active", mainPid },
    ...more,
  };
}

export function record(change: Partial<SwapRecord> = {}): SwapRecord {
  return {
    version: 1,
    id: "",
    boot: "b0",
    state: "done",
    from: "6.1.0-26-amd64",
    to: "6.12.9-amd64",
    arrived: "6.12.9-amd64",
    directory: "/var/lib/kmonte/swap/x/frozen",
    processes: [700, 701, 702].map((pid) => ({ pid, command: "d" })),
    memory: { total: 212 << 20, still: 12 << 20 },
    written: 200 << 20,
    units: [unit("nginx.service", 700), unit("redis-server.service", 701), unit("ssh.service", 702)],
    steps: ALL,
    stopped: START,
    running: END,
    attempts: [{ kernel: "6.12.9-amd64", boot: "b1", at: START + 1500 }],
    ...change,
  };
}

/** Without what is not known before the thaw. */
export function waiting(change: Partial<SwapRecord> = {}): SwapRecord {
  const { running: _, arrived: __, units = [], ...rest } = record(change);
  return {
    ...rest,
    state: "pending",
    units: units.map(({ running: _r, after: _a, ...one }) => one),
    steps: steps(...LEAVING),
  };
}

export const FAILURE = {
  code: "FILE_CHANGED",
  what: "A program is another one.",
  why: "It was written to.\nIts size differs.",
  remedy: "Put it back.",
};
const NEW: Here = { kernel: "6.12.9-amd64", boot: "b1", prepared: true };
const OLD: Here = { kernel: "6.1.0-26-amd64", boot: "b2", prepared: true };

/** The new kernel did not do. */
export function back(): SwapRecord {
  const refused = changeAttempt(withAttempt(waiting(), NEW, START + 9000), NEW, { failure: FAILURE, back: "kexec" });
  const again = withAttempt(refused, OLD, START + 30_000);
  return {
    ...record({ steps: steps(...LEAVING, ["kexec", 20_000], ...COMING.slice(1)) }),
    attempts: again.attempts,
    arrived: OLD.kernel,
    running: START + 32_000,
    units: record().units?.map((one) => ({ ...one, running: START + 32_000 })),
  };
}

/** A state directory with records of one a day, the last one last. */
export function stateWith(directory: string, ...records: readonly SwapRecord[]): string {
  const state = mkdtempSync(join(directory, "state-"));
  records.forEach((one, i) => {
    const { id } = newSwapDirectory(join(state, "swap"), new Date(START - (records.length - 1 - i) * 86_400_000));
    writeRecord(join(state, "swap"), { ...one, id });
  });
  return state;
}

export function report(state: string, ...args: readonly string[]): Promise<Outcome> {
  return launch(KMONTE, ["report", ...args], { env: { ...process.env, KMONTE_STATE: state, TZ: "UTC" } }).done;
}
