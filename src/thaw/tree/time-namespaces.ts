/**
 * Time namespaces whose clocks go on where those of the frozen set stopped (time_namespaces(7)). A process is cloned into
 * the one that its parent has for children, or goes to another as long as it has no threads (setns(2)).
 */
import { livingThread, procPath } from "../../sys/task.ts";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { asOurselves } from "../../sys/identity.ts";
import { CLONE } from "../../abi/clone.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FrozenState } from "../../image/schema.ts";
import { formatTimeOffsets, readTimeOffsets } from "../../proc/time-offsets.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { Thawing } from "../context.ts";
import type { BuiltProcess } from "../fill/process.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

/** The one of the first process. */
const FIRST = "";

export class TimeNamespaces {
  readonly #clocks: FrozenState["clocks"];
  readonly #made = new Map<string, LocalFd>();
  /** When all the clocks go on: how far those of the machine are then. */
  readonly #start: { readonly monotonic: bigint; readonly boottime: bigint };

  constructor(context: Thawing, { clocks, processes }: FrozenState, root: BuildScope) {
    this.#clocks = clocks;
    const now = context.startClocks();
    const ours = readTimeOffsets("self");
    this.#start = { monotonic: now.monotonic - ours.monotonic, boottime: now.boottime - ours.boottime };
    const later = new Set(processes.map(({ timeNamespaceForChildren: childrenTime }) => childrenTime));
    for (const name of Object.keys(clocks.timeNamespaces ?? {})) if (!later.has(name)) this.#make(name, root);
    // The last one is that of the root's children, unless they go to another.
    this.#make(FIRST, root);
  }

  /** Where the process lives, and where its children will. */
  join(process: BuiltProcess): void {
    const { state, scope } = process;
    if (!state.body) return;
    const { timeNamespace: time = FIRST, timeNamespaceForChildren: childrenTime } = state;
    if ((scope.entered["time"] ?? FIRST) !== time) {
      const namespace = this.#made.get(time);
      if (namespace === undefined) throw new InconsistentImage(`nobody has made the time namespace ${time}`);
      process.lend(namespace, (fd) => scope.call("setns", "Entering a time namespace", fd, CLONE.NEWTIME));
      scope.entered["time"] = time;
    }
    if (childrenTime === undefined) return;
    this.#make(childrenTime, scope);
    scope.entered["time"] = childrenTime;
  }

  /** Makes one, into which the children of `maker` will be cloned. */
  #make(name: string, maker: BuildScope): void {
    const clocks = name === FIRST ? this.#clocks : this.#clocks.timeNamespaces?.[name];
    if (!clocks) throw new InconsistentImage(`the image has no clocks of ${name}`);
    maker.call("unshare", "Making a time namespace", CLONE.NEWTIME);
    const offsets = formatTimeOffsets({
      monotonic: BigInt(clocks.monotonic) - this.#start.monotonic,
      boottime: BigInt(clocks.boottime) - this.#start.boottime,
    });
    asOurselves(() => {
      const task = livingThread(maker.pid);
      writeFileSync(procPath(task, "timens_offsets"), offsets);
      this.#made.set(name, openSync(procPath(task, "ns/time_for_children"), "r") as LocalFd);
    });
  }

  /** When all processes stand. */
  end(): void {
    for (const fd of this.#made.values()) closeSync(fd);
    this.#made.clear();
  }
}
