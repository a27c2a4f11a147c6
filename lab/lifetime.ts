/**
 * Nothing of the lab outlives it: temporary directories and child processes are registered here and ended on
 * success, failure and ^C alike.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Ending = () => void;

const endings = new Set<Ending>();
let watching = false;

/** Registers what must happen before this program ends. The scope's end does it; so does ^C. */
export function atEnd(end: Ending): Disposable {
  watchSignals();
  endings.add(end);
  return {
    [Symbol.dispose]() {
      if (endings.delete(end)) end();
    },
  };
}

/** A directory that is gone when its scope ends. `parent` must be on the disk that the result is renamed to. */
export function temporaryDirectory(prefix: string, parent: string = tmpdir()): Disposable & { path: string } {
  const path = mkdtempSync(join(parent, prefix));
  const ending = atEnd(() => rmSync(path, { recursive: true, force: true }));
  return { path, [Symbol.dispose]: () => ending[Symbol.dispose]() };
}

function watchSignals(): void {
  if (watching) return;
  watching = true;
  process.once("exit", endAll);
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.once(signal, () => {
      endAll();
      process.exit(128 + number);
    });
  }
}

/** Last registered, first ended: processes go before the directories that they were given. */
function endAll(): void {
  for (const end of [...endings].toReversed()) {
    endings.delete(end);
    try {
      end();
    } catch (error) {
      process.stderr.write(`While cleaning up: ${String(error)}\n`);
    }
  }
}
