/**
 * A connection is back: those at its other end should hear of it now, and not when they next try by themselves. A peer
 * that got no answer waits twice as long before each further attempt; after half a minute that is another half minute.
 */
import { Memo } from "../../memo.ts";
import { announceAddress } from "../../../sys/announce.ts";
import { TCP_FLAG } from "../../../abi/packet.ts";
import { injectSegment, reportUnreachable } from "../../../sys/packet.ts";
import { AF } from "../../../abi/socket.ts";
import type { ThawContext } from "../../thaw-context.ts";
import { KmonteError } from "../../../errors/failure.ts";
import { isPlainV4, PASS_MARK, type Flow } from "../quarantine/rules.ts";
import { isEverywhere } from "../quarantine/requirements.ts";

/** What is needed of a connection's state. */
interface Connection extends Flow {
  readonly receiveEnd: number;
  readonly window: { readonly rcv_wup: number };
}

/** A peer that waited for less has not begun to wait for long. */
const LONG_MS = 1000;
/** The shortest pause before a peer tries again; it doubles from there, up to two minutes. */
const FIRST_PAUSE_MS = 200;
const MOST_DOUBLINGS = 10;

const announced = new Memo(() => new Set<string>());

/** The address may be on another machine now than its neighbours remember. Once per thaw. */
export function announce({ local, remote }: Flow, context: ThawContext): void {
  const address = plain(local.address);
  const done = context.memo(announced);
  if (done.has(address) || isEverywhere(remote.address)) return;
  done.add(address);
  try {
    announceAddress(address);
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    context.note(`neighbours were not told that ${address} is here: ${error.message}`);
  }
}

/** To be called when the socket is out of repair mode and packets pass again. */
export function notifyPeer(connection: Connection, context: ThawContext): void {
  const v4 = isPlainV4(connection.local.address);
  const family = v4 ? AF.AF_INET : AF.AF_INET6;
  const local = { ...connection.local, address: plain(connection.local.address) };
  const remote = { ...connection.remote, address: plain(connection.remote.address) };
  // Something old that seems to come from the peer: our kernel answers it with what it has, options and window included.
  const sequence = (connection.window.rcv_wup - 1) >>> 0;
  const old = { from: remote, to: local, sequence, acknowledged: 0, flags: TCP_FLAG.ACK, window: 0xffff };
  injectSegment(family, old, PASS_MARK);
  // What a router would have said of our absence (RFC 6069): each makes the peer take one doubling back, until it tries.
  for (let report = doublingsSince(context.clocks.realtimeAtFreeze); report > 0; report -= 1) {
    reportUnreachable(family, { from: remote, to: local, sequence: connection.receiveEnd }, PASS_MARK);
  }
}

/** How often a peer may have doubled its pause since then. */
function doublingsSince(realtime: bigint): number {
  const away = Date.now() - Number(realtime / 1_000_000n);
  if (away < LONG_MS) return 0;
  return Math.min(MOST_DOUBLINGS, Math.ceil(Math.log2(away / FIRST_PAUSE_MS)));
}

/** `::ffff:1.2.3.4` travels as IPv4. */
function plain(address: string): string {
  return isPlainV4(address) ? address.replace("::ffff:", "") : address;
}
