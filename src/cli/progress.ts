/** Showing where the work is: one line that changes on a terminal, plain lines elsewhere, nothing with --json. */
import type { ProgressListener } from "../lib/progress.ts";
import { formatBytes, tell } from "./output.ts";

/** How often the line on a terminal changes at most. */
const REFRESH_MS = 80;

export interface ProgressDisplay {
  readonly listen: ProgressListener;
  end(): void;
}

export function showProgress(json: boolean): ProgressDisplay {
  if (json) return { listen: () => undefined, end: () => undefined };
  return process.stderr.isTTY ? liveLine() : plainLines();
}

function plainLines(): ProgressDisplay {
  let last = "";
  return {
    listen: ({ step, detail, done }) => {
      // What is worked on changes all the time where there is an amount to it.
      const line = detail === undefined || done !== undefined ? step : `${step} ${detail}`;
      if (line === last || (line === step && last.startsWith(`${step} `))) return;
      last = line;
      tell(`${line} …`);
    },
    end: () => undefined,
  };
}

function liveLine(): ProgressDisplay {
  let shown = 0;
  const clear = "\r\u001B[K";
  return {
    listen: ({ step, detail, done, total, at }) => {
      if (done !== undefined && done !== total && at - shown < REFRESH_MS) return;
      shown = at;
      const amount =
        done === undefined ? "" : ` ${formatBytes(done)}${total === undefined ? "" : ` of ${formatBytes(total)}`}`;
      process.stderr.write(`${clear}${step}${detail === undefined ? "" : ` ${detail}`}${amount}`);
    },
    end: () => process.stderr.write(clear),
  };
}
