/**
 * The processes that answer, one for each request, and who is next when there are as many as there may be: the user who
 * has waited longest since one was last started for him, so that somebody who asks once is not behind those who ask
 * again and again.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { availableParallelism } from "node:os";
import type { Writable } from "node:stream";
import { CountByUser } from "./count-by-user.ts";
import { REQUEST } from "./protocol.ts";
import { busy, turnAway } from "./waiting-connections.ts";
import { programFile } from "../lib/program-files.ts";

const MOST_AT_ONCE = 32;
/** From here on nobody gets a second one. */
const SCARCE = MOST_AT_ONCE / 2;
/** As many as processors can well serve start without a rest between those of one user. */
const easy = (): number => Math.min(SCARCE, 2 * availableParallelism());
/** The rest, in milliseconds for each user who asked lately: the processors are shared by all of them. */
const REST_MS = 250;
const LOOK_AGAIN_MS = 100;
const CROWDED = "Too many requests wait already, most of them of other users.";
/** Of one user, those that wait for a process included. */
const MOST_OF_ONE_USER = 4;
const MOST_WAITING = 256;
const LONGEST_WAIT_MS = 60_000;
/** How long it is remembered when one was started for a user. */
const MEMORY_MS = 60_000;

interface Waiting {
  readonly socket: Socket;
  readonly uid: number;
  readonly request: Buffer;
  readonly timer: NodeJS.Timeout;
}

export class RequestProcesses {
  #running = 0;
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>();
  readonly #countWaiting = new CountByUser();
  readonly #countRunning = new CountByUser();
  /** When a process was last started for each user, those of long ago first. */
  readonly #lastOf = new Map<number, number>();

  constructor() {
    setInterval(() => this.#startNext(), LOOK_AGAIN_MS).unref();
  }

  /** Sees to it that a request is answered: now, when a process ends, or with the reason why not. */
  take(socket: Socket, uid: number, request: Buffer): void {
    const own = this.#countWaiting.of(uid) + this.#countRunning.of(uid);
    if (own >= MOST_OF_ONE_USER)
      return turnAway(socket, busy(`User ${uid} has ${own} requests there already, and may have no more.`));
    if (this.#waiting.size >= MOST_WAITING && !this.#makeRoom(uid)) return turnAway(socket, busy(CROWDED));
    const late = (): void => this.#giveUp(waiting, "Others' requests took all the time that this one could wait.");
    const waiting: Waiting = { socket, uid, request, timer: setTimeout(late, LONGEST_WAIT_MS) };
    this.#waiting.add(waiting);
    this.#countWaiting.add(uid);
    // Whoever goes away is heard of only while somebody listens.
    for (const event of ["end", "close"]) socket.once(event, () => this.#giveUp(waiting, "It went away."));
    this.#startNext();
    if (this.#waiting.has(waiting)) socket.resume();
    return undefined;
  }

  /** Turns away the latest request of the user who has the most waiting, if that is more than this one would have. */
  #makeRoom(uid: number): boolean {
    const largest = this.#countWaiting.largest();
    if (largest === undefined || this.#countWaiting.of(largest) <= this.#countWaiting.of(uid) + 1) return false;
    const latest = [...this.#waiting].findLast((one) => one.uid === largest);
    if (latest) this.#giveUp(latest, CROWDED);
    return true;
  }

  #giveUp(waiting: Waiting, why: string): void {
    if (this.#leave(waiting)) turnAway(waiting.socket, busy(why));
  }

  #leave(waiting: Waiting): boolean {
    clearTimeout(waiting.timer);
    if (!this.#waiting.delete(waiting)) return false;
    this.#countWaiting.remove(waiting.uid);
    return true;
  }

  #startNext(): void {
    while (this.#running < MOST_AT_ONCE) {
      const next = this.#next();
      if (!next) return;
      this.#leave(next);
      next.socket.pause();
      this.#start(next);
    }
  }

  #next(): Waiting | undefined {
    const most = this.#running >= SCARCE ? 1 : MOST_OF_ONE_USER;
    const rested = this.#running < easy() ? Infinity : performance.now() - REST_MS * this.#lastOf.size;
    let first: Waiting | undefined;
    let longest = Infinity;
    for (const waiting of this.#waiting) {
      const last = this.#lastOf.get(waiting.uid) ?? -Infinity;
      if (this.#countRunning.of(waiting.uid) >= most || last > rested || last >= longest) continue;
      [first, longest] = [waiting, last];
    }
    return first;
  }

  #start({ socket, uid, request }: Waiting): void {
    this.#remember(uid);
    let child: ChildProcess;
    try {
      child = startAnswerer(socket);
    } catch (error) {
      return turnAway(socket, busy(`No process could be started for it (${(error as NodeJS.ErrnoException).code}).`));
    }
    this.#running += 1;
    this.#countRunning.add(uid);
    const leave = (): void => {
      this.#running -= 1;
      this.#countRunning.remove(uid);
      this.#startNext();
    };
    child.once("error", (error: NodeJS.ErrnoException) => {
      turnAway(socket, busy(`No process could be started for it (${error.code}).`));
      leave();
    });
    child.once("spawn", () => {
      child.once("exit", leave);
      const pipe = child.stdio[REQUEST] as Writable;
      pipe.on("error", () => undefined);
      pipe.end(request);
      socket.destroy();
    });
  }

  #remember(uid: number): void {
    const now = performance.now();
    this.#lastOf.delete(uid);
    this.#lastOf.set(uid, now);
    for (const [user, last] of this.#lastOf) {
      if (last > now - MEMORY_MS) break;
      this.#lastOf.delete(user);
    }
  }
}

/** A process whose standard input is the connection; it reads the request from a pipe. */
function startAnswerer(socket: Socket): ChildProcess {
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", programFile("daemon/request-main")], {
    stdio: [socket, "ignore", "inherit", "pipe"],
    cwd: "/",
    detached: true,
  });
}
