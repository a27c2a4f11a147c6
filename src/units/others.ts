/** The units that systemd stops, in their order, before the protected ones are frozen: each as at any shutdown. */
import { spawn } from "node:child_process";
import { failures } from "../errors/catalogue.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { AtOurEnd } from "./run-at-exit.ts";
import { isOfSystem, type SurveyedUnit } from "./survey.ts";
import { showUnits, systemctl } from "../lib/systemctl.ts";
import { activeUnits, controlGroupOf, readUnits, type Unit, withDescendants, wordsOf } from "./unit.ts";

/** What a swap does with the units of the machine; shown to a person before anything is done. */
export interface UnitPlan {
  readonly along: readonly SurveyedUnit[];
  /** Stopped before the freeze, sockets, timers and paths that would start them again first. */
  readonly stop: readonly Unit[];
  /** Not stopped, because a protected unit needs them, or kmonte itself or a named process runs in them; they end with the kernel. */
  readonly kept: readonly Unit[];
}

/** Dependencies by which the end of one unit ends another (systemd.unit(5)). */
const ENDS_TOO = ["Requires", "Requisite", "BindsTo", "PartOf", "StopPropagatedFrom"];

/** Plans what becomes of each unit; `along` are those that are taken along, `pids` processes named by themselves. */
export function planUnits(along: readonly SurveyedUnit[], pids: readonly number[] = []): UnitPlan {
  const taken = new Set(along.flatMap(({ unit, scopes }) => [unit, ...scopes].map(({ name }) => name)));
  const needed = requiredBy([...taken]);
  const inUse = ["self" as const, ...withDescendants(pids)].map((pid) => orIfGone(() => controlGroupOf(pid), "/"));
  const active = activeUnits(["service", "scope", "socket", "timer", "path"]);
  const candidates = active.filter((unit) => !taken.has(unit.name) && isStoppable(unit));
  const isKept = ({ name, controlGroup }: Unit): boolean =>
    needed.has(name) ||
    (controlGroup !== "" && inUse.some((group) => group === controlGroup || group.startsWith(`${controlGroup}/`)));
  const kept = candidates.filter(isKept);
  const stopped = candidates.filter((unit) => !isKept(unit));
  const triggers = new Set(stopped.flatMap((unit) => wordsOf(unit, "TriggeredBy")));
  const first = active.filter(({ name }) => triggers.has(name) && !needed.has(name));
  return { along, stop: [...first, ...stopped], kept };
}

/** Services and sessions that hold something to put away; the network's own, which the protected ones use, is not among them. */
function isStoppable(unit: Unit): boolean {
  const { name, pids, properties } = unit;
  if (/\.(socket|timer|path)$/.test(name) || name === "init.scope" || isOfSystem(unit)) return false;
  if (wordsOf(unit, "Before").some((before) => /^(network|network-pre|network-online|sysinit)\.target$/.test(before)))
    return false;
  return pids.length > 0 || (unit.subState === "exited" && properties.get("DefaultDependencies") === "yes");
}

/** Units that the given ones cannot be without, and those that these cannot be without. */
function requiredBy(names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (let next = [...names]; next.length > 0;) {
    const units = readUnits(next);
    next = [...new Set(units.flatMap((unit) => ENDS_TOO.flatMap((property) => wordsOf(unit, property))))].filter(
      (name) => !found.has(name),
    );
    for (const name of next) found.add(name);
  }
  return found;
}

/** Units that have been stopped, and are started again when the swap does not take place. */
export class StoppedUnits implements AsyncDisposable {
  readonly #names: readonly string[];
  /** Should we be killed, a shell starts them again. */
  readonly #guard: AtOurEnd;
  /** Units that systemd had to kill, in sentences. */
  notes: readonly string[] = [];

  private constructor(names: readonly string[]) {
    this.#names = names;
    this.#guard = new AtOurEnd('[ $# = 0 ] || systemctl start --no-block -- "$@"', startable(names));
  }

  /**
   * Stops them all in one transaction; each may take as long as its own settings say (TimeoutStopSec=). `onWaiting` is told
   * of those that take long, such as "waits for a.service (1min 30s at most)", and of how many are stopped already.
   */
  static async stop(units: readonly Unit[], { signal, onWaiting }: StopOptions = {}): Promise<StoppedUnits> {
    const stopped = new StoppedUnits(units.map(({ name }) => name));
    if (units.length === 0) return stopped;
    const telling = setInterval(() => tellOfSlow(stopped.#names, onWaiting), TELLING_MS);
    try {
      await run(["stop", "--", ...stopped.#names], signal);
      stopped.notes = killedAmong(stopped.#names);
      return stopped;
    } catch (error) {
      await stopped[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearInterval(telling);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const names = startable(this.#names);
    if (names.length > 0)
      await run(["start", "--", ...names]).catch((error: unknown) => {
        process.stderr.write(`kmonte: note: not all units were started again: ${String(error)}\n`);
      });
    this.#guard[Symbol.dispose]();
  }
}

export interface StopOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onWaiting?: ((what: string, stopped: number) => void) | undefined;
}

/** After so many milliseconds, and then again, a person hears of what is waited for. */
const TELLING_MS = 5000;

function tellOfSlow(names: readonly string[], onWaiting?: StopOptions["onWaiting"]): void {
  const units = showUnits(names, ["Id", "ActiveState", "TimeoutStopUSec"]);
  const stopped = units.filter((unit) => /^(inactive|failed)$/.test(unit.get("ActiveState") ?? "")).length;
  const slow = units.flatMap((unit) => {
    if (unit.get("ActiveState") !== "deactivating") return [];
    const limit = unit.get("TimeoutStopUSec");
    return [`${unit.get("Id")}${limit === undefined ? "" : ` (${limit} at most)`}`];
  });
  if (slow.length > 0) onWaiting?.(`waits for ${slow.join(", ")}`, stopped);
}

/** Result=timeout of systemctl show. */
function killedAmong(names: readonly string[]): string[] {
  return showUnits(names, ["Id", "Result", "TimeoutStopUSec"]).flatMap((unit) => {
    if (unit.get("Result") !== "timeout") return [];
    return [`${unit.get("Id")} did not stop within ${unit.get("TimeoutStopUSec")}, and systemd killed it.`];
  });
}

/** Scopes are made by who started their processes, and cannot be started. */
function startable(names: readonly string[]): string[] {
  return names.filter((name) => !name.endsWith(".scope"));
}

/** systemctl that may take long; an abort ends the wait, not what systemd does. */
function run(args: readonly string[], signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("systemctl", ["--no-ask-password", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const onAbort = (): void => void child.kill();
    signal?.addEventListener("abort", onAbort);
    child.once("error", reject);
    child.once("close", (status) => {
      signal?.removeEventListener("abort", onAbort);
      if (signal?.aborted) reject(signal.reason as Error);
      else if (status === 0) resolve();
      else
        reject(
          failures.UNITS_NOT_STOPPED({
            verb: args[0] ?? "",
            why: errors.trim().replace(/\n/g, " ") || "systemctl did not say why.",
          }),
        );
    });
  });
}

/** Makes systemd read its units' files again. */
export function reloadUnits(): void {
  systemctl(["daemon-reload"], undefined);
}
