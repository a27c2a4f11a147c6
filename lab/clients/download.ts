/** download.ts HOST PORT PATH SHA256: fetches a large file slowly, and the rest at once when it is asked for the result. */
import { createHash } from "node:crypto";
import { get, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { Pauses, report, watchInput } from "./client.ts";

const [host = "", port = "", path = "", expected = ""] = process.argv.slice(2);
/** So few that it is not over when the swaps of a slow emulated machine are. */
const BYTES_PER_STEP = 6 * 1024;
const STEP_MS = 300;

const pauses = new Pauses();
const input = watchInput();

await report(pauses, async () => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host, port, path, agent: false }, resolve).once("error", reject);
  });
  if (response.statusCode !== 200) throw new Error(`the server said ${response.statusCode}`);
  pauses.begin();
  const hash = createHash("sha256");
  let length = 0;
  let budget = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    pauses.arrived();
    hash.update(chunk);
    length += chunk.length;
    budget -= chunk.length;
    while (budget < 0 && !input.ended) {
      await delay(STEP_MS);
      pauses.arrived();
      budget += BYTES_PER_STEP;
    }
  }
  if (!input.ended) throw new Error(`the download was over before the end of the demonstration`);
  if (!response.complete) throw new Error(`the download ended after ${length} bytes`);
  const sum = hash.digest("hex");
  if (sum !== expected) throw new Error(`${length} bytes with sha256 ${sum}, not ${expected}`);
  return `one download of ${length} bytes, sha256 ${sum.slice(0, 16)}… as the server has it`;
});
