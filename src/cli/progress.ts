/**
 * Showing where the work is, what is left, and when it will be over: one line that changes on a terminal; lines elsewhere,
 * as in a pipe or on the console at boot; nothing with --json.
 */
import type { ProgressEvent, ProgressListener } from "../lib/progress.ts";
import { STEP_MEANINGS } from "../lib/step-meanings.ts";
import { formatBytes, tell } from "./output.ts";
import { POLL } from "../abi/poll.ts";
import { pollNow } from "../sys/poll.ts";
import { Pace } from "./pace.ts";

/** How often the line on a terminal changes at most. */
const REFRESH_MS = 80;
/** How often a step that goes on tells of itself where there is no terminal. */
const LINES_MS = 5000;

export interface ProgressDisplay {
  readonly listen: ProgressListener;
  end(): void;
}

export function showProgress(json: boolean): ProgressDisplay {
  if (json) return { listen: () => undefined, end: () => undefined };
  const { listen, end } = process.stderr.isTTY ? liveLine() : plainLines();
  return { listen: (event) => takesMore() && listen(event), end };
}

/**
 * Whether standard error takes a line now. Nothing may wait for whoever reads it, a pager or a terminal that was stopped
 * (^S): processes stand still meanwhile.
 */
function takesMore(): boolean {
  return (pollNow(process.stderr.fd, POLL.POLLOUT) & (POLL.POLLOUT | POLL.POLLERR)) !== 0;
}

function plainLines(): ProgressDisplay {
  const pace = new Pace();
  let last = "";
  let told = 0;
  return {
    listen: (event) => {
      const { step, detail, done, counted, at } = event;
      const left = pace.left(event);
      const amount = amountOf(event, left);
      // What is worked on changes all the time where bytes are counted.
      const isChanging = done !== undefined && counted === undefined;
      const line = detail === undefined || isChanging ? step : `${step} (${detail})`;
      const isKnown = line === last || (line === step && last.startsWith(`${step} `));
      // A new step is told at once; one that goes on when it is known how long it will.
      if (isKnown && (left === undefined || at - told < LINES_MS)) return;
      told = at;
      last = line;
      tell(`${withMeaning(line, step)}${isKnown || counted !== undefined ? amount : ""} …`);
    },
    end: () => undefined,
  };
}

function liveLine(): ProgressDisplay {
  const pace = new Pace();
  let shown = 0;
  const clear = "\r\u001B[K";
  return {
    listen: (event) => {
      const { step, detail, done, total, at } = event;
      const left = pace.left(event);
      if (done !== undefined && done !== total && at - shown < REFRESH_MS) return;
      shown = at;
      const line = `${withMeaning(step, step)}${detail === undefined ? "" : ` (${detail})`}${amountOf(event, left)}`;
      // What does not fit would stay on the terminal, in lines of its own.
      process.stderr.write(`${clear}${line.slice(0, process.stderr.columns - 1)}`);
    },
    end: () => process.stderr.write(clear),
  };
}

/** The word that reports have for it, and what it is. */
function withMeaning(line: string, step: string): string {
  const meaning = STEP_MEANINGS[step];
  return meaning === undefined ? line : `${line}: ${meaning}`;
}

/** ", 1.2 GiB of 4.0 GiB, 12 s left" as far as it is known. */
function amountOf({ done, total, counted }: ProgressEvent, left: number | undefined): string {
  if (done === undefined) return "";
  const format = (amount: number): string => (counted === undefined ? formatBytes(amount) : String(amount));
  const of = total === undefined ? "" : ` of ${format(total)}`;
  return `, ${format(done)}${of}${counted === undefined ? "" : ` ${counted}`}${left === undefined ? "" : `, ${formatLeft(left)} left`}`;
}

function formatLeft(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
