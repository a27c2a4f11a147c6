/**
 * again.ts HOST PORT TEXT PATTERN: a client as most are. It sends TEXT and waits for PATTERN, again and again, and when its
 * connection is gone it makes another one. A connection counts as gone, too, when a new one is answered and it is not: a
 * machine that has been restarted knows nothing of what it had received. When its input ends it says as JSON how often, and how long it got no answer.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { watchInput } from "../lab/clients/client.ts";

export interface AgainResult {
  /** Connections that were lost after an answer had come on them. */
  readonly lost: number;
  /** The longest time without an answer, in seconds. */
  readonly longestPause: number;
}

const [host = "", port = "", text = "", pattern = ""] = process.argv.slice(2);
const STEP_MS = 200;
/** How long a new connection may take: a machine that is down does not even refuse it. */
const CONNECT_MS = 1_000;
/** How long without an answer until another connection is tried, and how long the first has when that one is answered. */
const DOUBT_MS = 2_000;

const input = watchInput();
const answer = new RegExp(pattern);
let last = performance.now();
let longest = 0;
let lost = 0;

/** Talks on one connection up to its end, or to that of the input. */
async function talk(): Promise<void> {
  const socket = await open();
  // Refused, or gone in the meantime.
  if (!socket || socket.closed) return;
  const ended = new Promise<false>((resolve) => socket.once("close", () => resolve(false)));
  let answers = 0;
  while (!input.ended) {
    const answered = ask(socket);
    const isAnswered = await Promise.race([answered, ended, outlived(answered)]);
    if (!isAnswered) break;
    count();
    answers += 1;
    await Promise.race([delay(STEP_MS), ended]);
  }
  if (!input.ended && answers > 0) lost += 1;
  socket.destroy();
}

/** Sends the text; settles when the answer has come. */
async function ask(socket: Socket): Promise<true> {
  socket.write(text);
  let seen = "";
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: string) => {
      seen += chunk;
      if (answer.test(seen)) resolve();
    });
  });
  socket.removeAllListeners("data");
  return true;
}

function count(): void {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}

/** Settles when another connection is answered and this one is not, a while after that; else never, or when the input ends. */
async function outlived(answered: Promise<true>): Promise<false> {
  const within = (milliseconds: number): Promise<boolean> => Promise.race([answered, delay(milliseconds, false)]);
  for (let wait = DOUBT_MS; !(await within(wait)); wait = STEP_MS) {
    if (input.ended) return false;
    const other = await open();
    const isServed = other && !other.closed && (await Promise.race([ask(other), delay(CONNECT_MS, false)]));
    other?.destroy();
    if (!isServed) continue;
    const served = performance.now();
    if (await within(DOUBT_MS)) break;
    longest = Math.max(longest, served - last);
    last = served;
    return false;
  }
  return new Promise<false>(() => {});
}

function open(): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) }).setEncoding("latin1");
    const late = setTimeout(() => socket.destroy(), CONNECT_MS);
    socket.once("connect", () => {
      clearTimeout(late);
      resolve(socket);
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(undefined));
  });
}

process.stderr.write("at work\n");
while (!input.ended) {
  await talk();
  await delay(50);
}
process.stdout.write(`${JSON.stringify({ lost, longestPause: longest / 1000 } satisfies AgainResult)}\n`, () =>
  process.exit(),
);
