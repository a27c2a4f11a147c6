/** Whose rights count for what is opened for the processes of an image: those that they had at the freeze. */
import { capabilityMask } from "../../abi/capability.ts";
import type { Rights } from "../../sys/identity.ts";
import type { FrozenBody, FrozenProcess, FrozenState } from "../../image/schema.ts";

export class Holders {
  readonly #processes: readonly FrozenProcess[];
  readonly #known = new Map<number, readonly Rights[]>();

  constructor({ processes }: Pick<FrozenState, "processes">) {
    this.#processes = processes;
  }

  /** Of a process, and of all that share something of it from clone(2) on. */
  ofProcess(pid: number): readonly Rights[] {
    return this.#together(
      this.#processes.filter(({ pid: own, shares }) => own === pid || Object.values(shares ?? {}).includes(pid)),
    );
  }

  /** Of all that have an open file; of the whole set when it is in flight between sockets, and nobody has it. */
  ofFile(id: string): readonly Rights[] {
    const owners = this.#processes.filter(({ body }) => body?.descriptors.some(({ file }) => file === id));
    return owners.length === 0 ? this.ofAll() : unique(owners.flatMap(({ pid }) => this.ofProcess(pid)));
  }

  ofAll(): readonly Rights[] {
    return this.#together(this.#processes);
  }

  #together(processes: readonly FrozenProcess[]): readonly Rights[] {
    return unique(processes.flatMap((process) => this.#rightsOf(process)));
  }

  #rightsOf({ pid, body }: FrozenProcess): readonly Rights[] {
    if (!body) return [];
    const known = this.#known.get(pid) ?? unique(body.threads.map((thread) => rightsOf(thread, body)));
    this.#known.set(pid, known);
    return known;
  }
}

function rightsOf(thread: FrozenBody["threads"][number], { resources }: FrozenBody): Rights {
  const { uids, gids, groups, effective } = thread.credentials;
  const { user } = resources.namespaces;
  // Capabilities in a user namespace of its own are none over the files of ours.
  return { uid: uids[3], gid: gids[3], groups, capabilities: user === undefined ? capabilityMask(effective) : 0n };
}

function unique(all: readonly Rights[]): Rights[] {
  return [
    ...new Map(
      all.map((rights) => [`${rights.uid} ${rights.gid} ${rights.groups.join()} ${rights.capabilities}`, rights]),
    ).values(),
  ];
}
