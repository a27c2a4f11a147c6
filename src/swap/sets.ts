/**
 * The sets in which a departure freezes: one for all that comes back together or not at all, and one for each tolerated
 * unit, whose thaw may fail without holding the others up. What connects two sets is refused, as with anything outside.
 */
import { join } from "node:path";
import { freeze, type FrozenSet } from "../freeze/freeze.ts";
import { eachOnce, type HeldNeed } from "../freeze/check/kernel-needs.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { carriedPaths } from "../units/carried.ts";
import type { MemberUnit } from "../units/hand-over.ts";
import type { UnitPlan } from "../units/others.ts";
import { presentRoots, type SurveyedUnit } from "../units/survey.ts";
import type { SwapRecord } from "./store.ts";

export interface SetsOptions {
  readonly pids: readonly number[];
  readonly plan?: UnitPlan | undefined;
  readonly encryptTo?: readonly string[] | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A set that is held, with the tolerated unit that it is of; undefined for the set of all others. */
interface HeldSet {
  readonly of: SurveyedUnit | undefined;
  readonly set: FrozenSet;
}

/** All sets of a departure, standing still until {@link release}. */
export class FrozenSets {
  readonly #held: readonly HeldSet[];

  private constructor(held: readonly HeldSet[]) {
    this.#held = held;
  }

  /**
   * Freezes into folders below `path`: `frozen`, and one of the name of each tolerated unit. The tolerated ones come first:
   * they stand still while the others are written, and not the others while they are.
   */
  static async freeze(path: string, options: SetsOptions): Promise<FrozenSets> {
    const along = options.plan?.along ?? [];
    const tolerated = along.filter((one) => one.tolerated);
    const others = along.filter((one) => !one.tolerated);
    const held: HeldSet[] = [];
    try {
      for (const one of tolerated) {
        const set = await freezeSet(join(path, one.unit.name), [], [one], options);
        held.push({ of: one, set });
      }
      if (others.length > 0 || options.pids.length > 0)
        held.push({ of: undefined, set: await freezeSet(join(path, "frozen"), options.pids, others, options) });
      return new FrozenSets(held);
    } catch (error) {
      await new FrozenSets(held).release();
      throw error;
    }
  }

  /** Lets all processes go on. */
  async release(): Promise<void> {
    const ends = await Promise.allSettled(this.#held.map(({ set }) => set.release()));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  get processes(): FrozenSet["processes"] {
    return this.#held.flatMap(({ set }) => set.processes);
  }

  /** The image of the set of all others, where there is one. */
  get directory(): string | undefined {
    return this.#held.find(({ of }) => of === undefined)?.set.directory;
  }

  /** How many bytes of memory the images hold. */
  get bytes(): number {
    return this.#held.reduce((sum, { set }) => sum + set.bytes, 0);
  }

  /** When the first process was stopped, in milliseconds since the epoch. */
  get stopped(): number {
    return Math.min(...this.#held.map(({ set }) => set.steps.find(({ step }) => step === "stop")?.start ?? Date.now()));
  }

  /** Those of the set of all others; one for each further set. */
  get steps(): TimedStep[] {
    return this.#held.flatMap(({ of, set: { steps } }) => {
      const [first, last] = [steps[0], steps.at(-1)];
      if (of === undefined || !first || !last) return steps;
      return [{ step: `freeze ${of.unit.name}`, start: first.start, end: last.end }];
    });
  }

  get needs(): HeldNeed[] {
    return eachOnce(this.#held.flatMap(({ set }) => set.needs));
  }

  get network(): FrozenSet["network"] {
    const all = this.#held.map(({ set }) => set.network);
    const needs = new Map(all.flatMap((each) => each.needs).map((need) => [JSON.stringify(need), need]));
    return {
      needs: [...needs.values()],
      quarantine: all.map(({ quarantine }) => quarantine).join(""),
      plainQuarantine: all.map(({ plainQuarantine }) => plainQuarantine).join(""),
      connections: all.flatMap(({ connections }) => connections),
    };
  }

  /** Units with what the record keeps of their freeze: when they were stopped, and their own image. */
  noted(members: readonly MemberUnit[]): NonNullable<SwapRecord["units"]> {
    const stoppedAt = new Map(this.processes.map((process) => [process.pid, process.stoppedAt]));
    return members.map(({ login, ...unit }) => {
      const own = this.#held.find(({ of }) => [of?.unit, ...(of?.scopes ?? [])].some((one) => one?.name === unit.name));
      const stops = unit.processes.flatMap(({ pid }) => stoppedAt.get(pid) ?? []);
      const { users, joinable, mounts, ...rest } = unit;
      return {
        ...rest,
        processes: [...unit.processes],
        ...(users && { users: [...users] }),
        ...(joinable && { joinable: [...joinable] }),
        ...(mounts && { mounts: mounts.map((one) => ({ ...one, options: [...one.options] })) }),
        ...(login && { login: [...login] }),
        ...(own && { directory: own.set.directory }),
        ...(stops.length > 0 && { stopped: Math.min(...stops) }),
      };
    });
  }
}

function freezeSet(
  directory: string,
  pids: readonly number[],
  units: readonly SurveyedUnit[],
  { plan, encryptTo, onProgress, signal }: SetsOptions,
): Promise<FrozenSet> {
  return freeze({
    pids: [...new Set([...pids, ...presentRoots(units)])],
    directory,
    end: "hold",
    ...(plan && { carry: carriedPaths(units) }),
    ...(encryptTo && { encryptTo }),
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
}
