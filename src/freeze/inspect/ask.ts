/** Asking a thread everything that all kinds of resource want to know of it, in one go. */
import { SyscallError } from "../../sys/call.ts";
import type { Answers, Asks } from "../../resources/contract.ts";
import { remoteAddress } from "../../lib/brand.ts";
import type { SyscallGadget } from "../../tracee/syscall-gadget.x86_64.ts";
import type { CallPage } from "../../tracee/call-page.x86_64.ts";
import { GuardedScope } from "../../tracee/guarded-scope.x86_64.ts";
import type { RemoteScope, Row } from "../../tracee/scope.ts";
import { Defect } from "../../errors/wrong-input.ts";

interface Asking {
  readonly name: string;
  readonly asks?: Asks;
}

/** Makes the calls of all kinds; each kind finds its own answers under its name. */
export function askAll(scope: RemoteScope, kinds: readonly Asking[]): Map<string, Answers> {
  return beginAsking(scope, kinds)();
}

/** The same without waiting: what is returned waits for the answers. */
function beginAsking(scope: RemoteScope, kinds: readonly Asking[]): () => Map<string, Answers> {
  const asking = kinds.flatMap(({ name, asks }) => (asks ? [{ name, asks }] : []));
  let at = 0;
  const places = asking.map(({ name, asks }) => {
    const place = { name, at, bytes: asks.bytes, calls: Object.entries(asks.calls(remoteAddress(scope.scratch + at))) };
    at += Math.ceil(asks.bytes / 8) * 8;
    return place;
  });
  scope.put(Buffer.alloc(at));
  const finish = scope.begin(places.flatMap(({ calls }) => calls.map(([, row]) => row)));
  return () => answersOf(scope, places, finish(), scope.take(at));
}

interface Place {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
  readonly calls: readonly (readonly [name: string, row: Row])[];
}

function answersOf(
  scope: RemoteScope,
  places: readonly Place[],
  results: readonly number[],
  bytes: Buffer,
): Map<string, Answers> {
  let first = 0;
  const answers = new Map<string, Answers>();
  for (const place of places) {
    const own = results.slice(first, first + place.calls.length);
    first += place.calls.length;
    const of = (call: string): { row: Row; result: number } => {
      const index = place.calls.findIndex(([name]) => name === call);
      const [, row] = place.calls[index] ?? [];
      if (!row) throw new Defect(`${place.name} has not asked for ${call}`);
      return { row, result: own[index] ?? 0 };
    };
    answers.set(place.name, {
      bytes: bytes.subarray(place.at, place.at + place.bytes),
      attempt: (call) => of(call).result,
      result(call) {
        const { row, result } = of(call);
        if (result < 0 && result >= -4095)
          throw new SyscallError(row[0], result, `Asking for ${place.name}`, scope.pid);
        return result;
      },
    });
  }
  return answers;
}

/** A stopped process in whose threads calls can be made. */
interface Askable {
  readonly pid: number;
  readonly gadget: SyscallGadget;
  readonly page: CallPage;
}

/**
 * Asks threads, as many at a time as the page has rooms: while one answers, others do so too. `use` gets each with its
 * answers, and makes further calls if it needs them.
 */
export function askThreads(
  { pid, gadget, page }: Askable,
  tids: readonly number[],
  kinds: readonly Asking[],
  use: (scope: RemoteScope, answers: ReadonlyMap<string, Answers>) => void,
): void {
  const most = Math.max(page.rooms, 1);
  for (let first = 0; first < tids.length; first += most) {
    using scopes = new DisposableStack();
    const asked = tids.slice(first, first + most).map((tid, i) => {
      const scope = scopes.use(new GuardedScope(pid, tid, gadget, page, page.rooms > 0 ? i : undefined));
      return { scope, finish: beginAsking(scope, kinds) };
    });
    for (const { scope, finish } of asked) use(scope, finish());
  }
}

/** For kinds that ask nothing. */
export const NO_ANSWERS: Answers = { attempt: () => 0, result: () => 0, bytes: Buffer.alloc(0) };
