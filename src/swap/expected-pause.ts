/**
 * How long units will stand still, as far as it can be told before: from the last departure of the same kind on this
 * machine, or where there is none, from what is assumed of disks and from the present boot. An estimate, and told as one.
 */
import { spawnSync } from "node:child_process";
import { memoryToWrite, type MemoryToWrite } from "../freeze/write/memory-size.ts";
import { KmonteError } from "../errors/failure.ts";
import { isFirstPidNamespace } from "../proc/first-namespace.ts";
import type { SurveyedUnit } from "../units/survey.ts";
import { millisecondsIn, type Phase } from "./phases.ts";
import { defaultSwapRoot, readRecords, type SwapRecord } from "./store.ts";

/** How the machine is left: the boot that follows takes its time accordingly. */
export type Departing = "swap" | "restart" | "power-off";

export interface ExpectedPauses {
  /** What the estimate is based on, in a sentence. */
  readonly basis: string;
  /** Seconds, for a unit that goes along or would; a power-off adds the time that the machine is off. */
  of(unit: SurveyedUnit): number | undefined;
}

/** Assumed of a machine without a departure on record, in milliseconds, and bytes a millisecond. */
const ASSUMED = { freezeMs: 500, thawMs: 1500, bootMs: 2000, writeRate: 100_000, readRate: 70_000 };
/** From so many bytes on, what a departure on record took says how long each byte takes. */
const TELLING_BYTES = 64 << 20;

/** A time that grows with memory, in milliseconds. */
interface Growing {
  readonly fixed: number;
  readonly perByte: number;
}

interface Basis {
  readonly freeze: Growing;
  readonly boot: number;
  readonly thaw: Growing;
  readonly text: string;
}

/** Estimates for units that have been looked at. Sets are stopped together: the tolerated ones first, then all others. */
export function expectPauses(units: readonly SurveyedUnit[], how: Departing, root = defaultSwapRoot()): ExpectedPauses {
  const { freeze, boot, thaw, text } = basisFor(how, root);
  const along = units.filter(({ verdict }) => verdict === "along");
  const common = along.filter(({ tolerated }) => !tolerated);
  const sets = [...along.filter(({ tolerated }) => tolerated).map((one) => [one]), common];
  const costs = new Map(sets.map((set) => [set, costOf(set, freeze, thaw)]));
  const pauseOf = (set: readonly SurveyedUnit[]): number => {
    const at = sets.indexOf(set as SurveyedUnit[]);
    const frozen = sets.slice(at).map((one) => costs.get(one)?.freeze ?? 0);
    // The common set is thawed first, and the others in their order.
    const before = set === common ? [] : sets.slice(0, at + 1);
    const thawed = [common, ...before].map((one) => costs.get(one)?.thaw ?? 0);
    return [...frozen, boot, ...thawed].reduce((sum, one) => sum + one, 0);
  };
  return {
    basis: text,
    of(unit) {
      if (unit.verdict === "system" || unit.obstacles.length > 0) return undefined;
      const set = sets.find((members) => members.includes(unit));
      if (set) return inSeconds(pauseOf(set));
      const cost = costOf([unit], freeze, thaw);
      return inSeconds(cost.freeze + boot + cost.thaw);
    },
  };
}

function costOf(set: readonly SurveyedUnit[], freeze: Growing, thaw: Growing): { freeze: number; thaw: number } {
  const pids = set.flatMap((one) => one.pids);
  if (pids.length === 0) return { freeze: 0, thaw: 0 };
  const { total, still } = memoryToWrite(pids);
  const look = Math.max(...set.map(({ pausedMs }) => pausedMs ?? 0));
  return { freeze: look + freeze.fixed + still * freeze.perByte, thaw: thaw.fixed + total * thaw.perByte };
}

function inSeconds(milliseconds: number): number {
  return Math.round(milliseconds / 100) / 10;
}

function basisFor(how: Departing, root: string): Basis {
  const records = comparable(root);
  // How long a machine was off says nothing.
  const same = records.findLast(({ kind }) => (how === "swap" ? kind === undefined : kind === "suspend"));
  if (same && how !== "power-off") return measured(same);
  const other = records.at(-1);
  if (!other) return assumed(how);
  const { milliseconds, text } = likePresentBoot(how);
  return { ...measured(other), boot: milliseconds, text: `An estimate, going by what ${other.id} took, and ${text}.` };
}

/** Those that came back as they were meant to; where a record is broken, nothing is told by any. */
function comparable(root: string): SwapRecord[] {
  try {
    return readRecords(root).filter(
      ({ running, memory, attempts = [] }) =>
        running !== undefined && memory !== undefined && attempts.every(({ failure }) => failure === undefined),
    );
  } catch (error) {
    if (error instanceof KmonteError) return [];
    throw error;
  }
}

/** Counted by itself: how long a look takes is known of each unit. */
const LOOKED = /^(copy|stop|look)$/;

function measured({ steps, memory, stopped, id }: SwapRecord): Basis {
  const { total, still } = memory as MemoryToWrite;
  const counted = steps.filter(({ step }) => !LOOKED.test(step));
  const took = (...phases: Phase[]): number =>
    phases.map((phase) => millisecondsIn(phase, counted, stopped)).reduce((sum, one) => sum + one, 0);
  return {
    freeze: growing(took("freeze"), still, 1 / ASSUMED.writeRate),
    boot: took("kernel", "boot"),
    thaw: growing(took("thaw"), total, 1 / ASSUMED.readRate),
    text: `An estimate, going by what ${id} took on this machine.`,
  };
}

/** What little memory took says nothing of how long each byte of much takes. */
function growing(took: number, bytes: number, assumedPerByte: number): Growing {
  if (bytes >= TELLING_BYTES) return { fixed: 0, perByte: took / bytes };
  return { fixed: Math.max(0, took - bytes * assumedPerByte), perByte: assumedPerByte };
}

function assumed(how: Departing): Basis {
  const rates = `${ASSUMED.writeRate / 1000} MB/s written, ${ASSUMED.readRate / 1000} MB/s read`;
  const { milliseconds, text } = likePresentBoot(how);
  return {
    freeze: { fixed: ASSUMED.freezeMs, perByte: 1 / ASSUMED.writeRate },
    boot: milliseconds,
    thaw: { fixed: ASSUMED.thawMs, perByte: 1 / ASSUMED.readRate },
    text: `A rough estimate, as no such departure is on record here: ${rates}, ${text}.`,
  };
}

/** How long a boot takes up to the thaw, going by the present one. */
function likePresentBoot(how: Departing): { readonly milliseconds: number; readonly text: string } {
  const kernel = isFirstPidNamespace() ? microsecondsOf("UserspaceTimestampMonotonic") / 1000 : 0;
  if (kernel === 0) return { milliseconds: ASSUMED.bootMs, text: `${ASSUMED.bootMs / 1000} s for the boot` };
  const firmware = how === "swap" ? 0 : microsecondsOf("FirmwareTimestampMonotonic") / 1000;
  const unknown = how !== "swap" && firmware === 0 ? ", without the firmware's own time" : "";
  return {
    milliseconds: kernel + firmware + ASSUMED.bootMs,
    text: `a boot like the present one's up to its first unit${unknown}`,
  };
}

function microsecondsOf(property: string): number {
  const shown = spawnSync("systemctl", ["show", "--value", "-p", property], { encoding: "utf8" });
  return Number(shown.stdout?.trim()) || 0;
}
