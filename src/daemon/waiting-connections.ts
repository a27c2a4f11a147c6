/**
 * Connections that have not said their request yet. They cost a descriptor and what they have said so far, no process;
 * nothing is looked for in it but the end of the line. Places run out for those who say nothing first.
 */
import type { Socket } from "node:net";
import { failures } from "../errors/catalogue.ts";
import type { Refusal } from "../errors/failure.ts";
import { CountByUser } from "./count-by-user.ts";
import { badRequest, failedAnswer, LONGEST_REQUEST } from "./protocol.ts";

/** Places for all, and for one user: who comes when they are taken takes the place of somebody who says nothing. */
const MOST_WAITING = 256;
const MOST_OF_ONE_USER = 8;
/** How long somebody may say nothing when there is room, and when there is none; between them, in proportion. */
const LONGEST_SILENCE_MS = 5000;
const SHORTEST_SILENCE_MS = 500;
const SWEEP_MS = 100;
const NEWLINE = 0x0a;

interface Guest {
  readonly socket: Socket;
  readonly uid: number;
  /** When it came, on a clock that nobody sets. */
  readonly since: number;
  readonly parts: Buffer[];
  size: number;
  /** Whether it has been told why it is not heard: what else it says is thrown away, until it stops or its time is over. */
  told: boolean;
}

/** Takes over a connection whose request is there, without the newline. Its socket is read by nobody. */
export type Heard = (socket: Socket, uid: number, request: Buffer) => void;

export class WaitingConnections {
  /** Oldest first. */
  readonly #guests = new Set<Guest>();
  readonly #count = new CountByUser();
  readonly #heard: Heard;
  readonly #sweeper: NodeJS.Timeout;

  constructor(heard: Heard) {
    this.#heard = heard;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Listens to a connection until its request is there, its time is over, or somebody else needs its place. */
  admit(socket: Socket, uid: number): void {
    if (this.#count.of(uid) >= MOST_OF_ONE_USER) this.#makeRoom(uid);
    else if (this.#guests.size >= MOST_WAITING) this.#makeRoom(this.#count.largest());
    const guest: Guest = { socket, uid, since: performance.now(), parts: [], size: 0, told: false };
    this.#guests.add(guest);
    this.#count.add(uid);
    socket.on("data", (part: Buffer) => this.#hear(guest, part));
    socket.once("end", () => this.#turnAway(guest, badRequest("It ended too early.")));
    socket.once("close", () => this.#leave(guest));
    socket.resume();
  }

  #hear(guest: Guest, part: Buffer): void {
    if (guest.told || !this.#guests.has(guest)) return;
    const end = part.indexOf(NEWLINE);
    const length = guest.size + (end < 0 ? part.length : end);
    guest.parts.push(part);
    guest.size += part.length;
    if (length > LONGEST_REQUEST) this.#tell(guest, "It is too long.");
    else if (end >= 0 && end !== part.length - 1) this.#tell(guest, "More than one line came.");
    else if (end >= 0) {
      this.#leave(guest);
      guest.socket.pause();
      this.#heard(guest.socket, guest.uid, Buffer.concat(guest.parts).subarray(0, length));
    }
  }

  /** Closing while something comes would be a reset, and the reason would not be read. */
  #tell(guest: Guest, why: string): void {
    guest.told = true;
    guest.parts.length = 0;
    guest.socket.end(failedAnswer(badRequest(why)));
  }

  /** Turns away this user's oldest connection. */
  #makeRoom(uid: number | undefined): void {
    for (const guest of this.#guests) {
      if (guest.uid === uid) return this.#turnAway(guest, busy("Others came while this one had said nothing."));
    }
  }

  /** The fuller it is, the less time there is. */
  #sweep(): void {
    const free = 1 - this.#guests.size / MOST_WAITING;
    const allowed = SHORTEST_SILENCE_MS + free * (LONGEST_SILENCE_MS - SHORTEST_SILENCE_MS);
    const before = performance.now() - allowed;
    for (const guest of this.#guests) {
      if (guest.since > before) break;
      this.#turnAway(guest, badRequest("It did not come in time."));
    }
  }

  #turnAway(guest: Guest, why: Error): void {
    if (!this.#leave(guest)) return;
    if (guest.told) guest.socket.destroy();
    else turnAway(guest.socket, why);
  }

  /** Says whether it was here. */
  #leave(guest: Guest): boolean {
    if (!this.#guests.delete(guest)) return false;
    this.#count.remove(guest.uid);
    return true;
  }
}

/** Says why, and closes; a connection takes as much without being read at the other end. */
export function turnAway(socket: Socket, why: Error): void {
  socket.end(failedAnswer(why));
  socket.destroySoon();
}

/** What is said to those for whom there is no place. */
export function busy(why: string): Refusal {
  return failures.SERVICE_BUSY({ why });
}
