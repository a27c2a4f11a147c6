/**
 * The other ends of connections that came along: when each was heard from again. A peer that has waited with something
 * to say, or for something of ours, is heard at once, as it is woken by the thaw; one that was silent before may be now.
 */
import { setTimeout as delay } from "node:timers/promises";
import { hasHeardPeer } from "../abi/tcp.ts";
import { KmonteError } from "../errors/failure.ts";
import { INET_DIAG_INFO } from "../proc/inet-diag.ts";
import { linksOf } from "../proc/read.ts";
import { dumpTcp, flowKey } from "../resources/socket/inet-snapshot.ts";
import type { Flow } from "../resources/socket/quarantine/rules.ts";
import type { Connection, SwapUnit } from "./store.ts";

/** So many are noted. */
const MOST = 500;
const LOOK_EVERY_MS = 50;
/** From the moment when the processes resumed. */
const LISTEN_MS = 1500;

/** As the record of a departure keeps them. */
export function noteConnections(flows: readonly Flow[]): Connection[] {
  const end = ({ address, port }: Flow["local"]): Connection["local"] => ({ address, port });
  return flows.slice(0, MOST).map(({ local, remote }) => ({ local: end(local), remote: end(remote) }));
}

/** Listens from its making on. */
export class Peers implements Disposable {
  readonly #noted: Map<string, Connection>;
  readonly #units: readonly SwapUnit[];
  #timer: NodeJS.Timeout | undefined;

  /** What an earlier try has noted is of that try alone. */
  constructor(connections: readonly Connection[], units: readonly SwapUnit[] = []) {
    const fresh = connections.map(({ local, remote }): Connection => ({ local, remote }));
    this.#noted = new Map(fresh.map((one) => [flowKey(one), one]));
    this.#units = units;
    if (fresh.length === 0) return;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#nameUnits();
    this.#look();
  }

  /** Those that came along, with what was heard of them, within a moment after `running`. */
  async heard(running: number): Promise<Connection[]> {
    while (this.#timer && this.#waiting().length > 0 && Date.now() < running + LISTEN_MS) await delay(LOOK_EVERY_MS);
    this[Symbol.dispose]();
    return [...this.#noted.values()];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #waiting(): Connection[] {
    return [...this.#noted.values()].filter(({ heard }) => heard === undefined);
  }

  #look(): void {
    const now = Date.now();
    for (const info of this.#sockets()) {
      const noted = this.#noted.get(flowKey(info));
      if (noted && noted.heard === undefined && hasHeardPeer(info.attributes.get(INET_DIAG_INFO)))
        this.#noted.set(flowKey(info), { ...noted, heard: now });
    }
  }

  #nameUnits(): void {
    const pids = this.#units.flatMap(({ name, processes }) => processes.map(({ pid }) => ({ pid, name })));
    const links = pids.flatMap(({ pid, name }) => [...linksOf(pid).values()].map((link) => [link, name] as const));
    const holders = new Map(links);
    for (const info of this.#sockets()) {
      const noted = this.#noted.get(flowKey(info));
      const unit = holders.get(`socket:[${info.inode}]`);
      if (noted && unit !== undefined) this.#noted.set(flowKey(info), { ...noted, unit });
    }
  }

  /** Nothing where this kernel cannot be asked: they are not known then. */
  #sockets(): ReturnType<typeof dumpTcp> {
    try {
      return dumpTcp();
    } catch (error) {
      if (!(error instanceof KmonteError)) throw error;
      this[Symbol.dispose]();
      return [];
    }
  }
}
