/** Asking a thread everything that all kinds of resource want to know of it, in one go. */
import { SyscallError } from "../abi/call.ts";
import type { Answers, Asks } from "../resources/contract.ts";
import { remoteAddress } from "../lib/brand.ts";
import type { RemoteScope } from "../tracee/scope.ts";

interface Asking {
  readonly name: string;
  readonly asks?: Asks;
}

/** Makes the calls of all kinds; each kind finds its own answers under its name. */
export function askAll(scope: RemoteScope, kinds: readonly Asking[]): Map<string, Answers> {
  const asking = kinds.flatMap(({ name, asks }) => (asks ? [{ name, asks }] : []));
  let at = 0;
  const places = asking.map(({ name, asks }) => {
    const place = { name, at, bytes: asks.bytes, rows: asks.calls(remoteAddress(scope.scratch + at)) };
    at += Math.ceil(asks.bytes / 8) * 8;
    return place;
  });
  scope.put(Buffer.alloc(at));
  const results = scope.batch(places.flatMap(({ rows }) => rows));
  const bytes = scope.take(at);
  let first = 0;
  const answers = new Map<string, Answers>();
  for (const place of places) {
    const own = results.slice(first, first + place.rows.length);
    first += place.rows.length;
    answers.set(place.name, {
      bytes: bytes.subarray(place.at, place.at + place.bytes),
      attempt: (call) => own[call] ?? 0,
      result(call) {
        const result = own[call] ?? 0;
        const name = place.rows[call]?.[0] ?? "?";
        if (result < 0 && result >= -4095) throw new SyscallError(name, result, `Asking for ${place.name}`, scope.pid);
        return result;
      },
    });
  }
  return answers;
}

/** For kinds that ask nothing. */
export const NO_ANSWERS: Answers = { attempt: () => 0, result: () => 0, bytes: Buffer.alloc(0) };
