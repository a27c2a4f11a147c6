/**
 * again.ts HOST PORT TEXT PATTERN: a client as most are. It sends TEXT and waits for PATTERN, again and again, and when its
 * connection is gone it makes another one. When its input ends it says as JSON how often, and how long it got no answer.
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
    const answered = new Promise<true>((resolve) => {
      let seen = "";
      socket.on("data", (chunk: string) => {
        seen += chunk;
        if (answer.test(seen)) resolve(true);
      });
    });
    socket.write(text);
    if (!(await Promise.race([answered, ended]))) break;
    socket.removeAllListeners("data");
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    answers += 1;
    await Promise.race([delay(STEP_MS), ended]);
  }
  if (!input.ended && answers > 0) lost += 1;
  socket.destroy();
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
