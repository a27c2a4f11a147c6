/**
 * What the kernel will add to semaphores when a process ends (SEM_UNDO of semop(2)). No call tells, but one that fails
 * does: semop(2) answers ERANGE when an adjustment would leave its bounds, and otherwise goes on to an operation that
 * cannot succeed. Either way it has done nothing.
 */
import { ERRNO } from "../abi/errno.ts";
import { IPC, MOST_SEMAPHORE, SEM, SEMBUF_SIZE } from "../abi/sysv.ts";
import { SyscallError } from "../sys/call.ts";
import type { RemoteScope, Row } from "./scope.ts";

/** Questions that fit into the scratch memory at once. */
const AT_ONCE = 64;

export interface Semaphore {
  readonly set: number;
  readonly index: number;
  readonly value: number;
}

type Operation = readonly [index: number, change: number, undo?: boolean];

export function encodeOperations(operations: readonly Operation[]): Buffer {
  const bytes = Buffer.alloc(operations.length * SEMBUF_SIZE);
  operations.forEach(([index, change, undo], i) => {
    bytes.writeUInt16LE(index, i * SEMBUF_SIZE);
    bytes.writeInt16LE(change, i * SEMBUF_SIZE + 2);
    bytes.writeInt16LE(IPC.IPC_NOWAIT | (undo ? SEM.SEM_UNDO : 0), i * SEMBUF_SIZE + 4);
  });
  return bytes;
}

/** Lowers the adjustment's distance to its upper bound by `amount`, and then fails whatever the semaphore is. */
function question({ index, value }: Semaphore, amount: number): Operation[] {
  const operations: Operation[] = [];
  let now = value;
  for (let left = amount; left > 0;) {
    if (now < MOST_SEMAPHORE) operations.push([index, MOST_SEMAPHORE - now]);
    const part = Math.min(left, MOST_SEMAPHORE);
    operations.push([index, -part, true]);
    now = MOST_SEMAPHORE - part;
    left -= part;
  }
  return [...operations, [index, 0], [index, 1], [index, 0]];
}

/** Whether each semaphore's adjustment plus its amount is above the upper bound. */
function exceeds(scope: RemoteScope, asked: readonly (readonly [Semaphore, number])[]): boolean[] {
  const answers: boolean[] = [];
  for (let first = 0; first < asked.length; first += AT_ONCE) {
    const rows: Row[] = [];
    let at = 0;
    const texts = asked.slice(first, first + AT_ONCE).map(([semaphore, amount]) => {
      const bytes = encodeOperations(question(semaphore, amount));
      rows.push(["semop", semaphore.set, scope.scratch + at, bytes.length / SEMBUF_SIZE]);
      at += bytes.length;
      return bytes;
    });
    scope.put(Buffer.concat(texts));
    for (const result of scope.batch(rows)) {
      if (result !== -ERRNO.ERANGE && result !== -ERRNO.EAGAIN)
        throw new SyscallError("semop", result, "Asking for SEM_UNDO", scope.pid);
      answers.push(result === -ERRNO.ERANGE);
    }
  }
  return answers;
}

/** The adjustments of a thread for these semaphores; 0 for none. */
export function readAdjustments(scope: RemoteScope, semaphores: readonly Semaphore[]): number[] {
  // a + amount > MOST says whether a is at least MOST + 1 - amount.
  const aboveZero = exceeds(
    scope,
    semaphores.map((semaphore) => [semaphore, MOST_SEMAPHORE] as const),
  );
  const notBelow = exceeds(
    scope,
    semaphores.map((semaphore) => [semaphore, MOST_SEMAPHORE + 1] as const),
  );
  return semaphores.map((semaphore, i) => (!aboveZero[i] && notBelow[i] ? 0 : search(scope, semaphore)));
}

function search(scope: RemoteScope, semaphore: Semaphore): number {
  let [low, high] = [1, 2 * (MOST_SEMAPHORE + 1)];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (exceeds(scope, [[semaphore, middle]])[0]) high = middle;
    else low = middle + 1;
  }
  return MOST_SEMAPHORE + 1 - low;
}
