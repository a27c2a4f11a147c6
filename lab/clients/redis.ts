/** redis.ts HOST PORT: increments a counter, many at a time on one connection, and expects each number exactly once. */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Pauses, report, watchInput } from "./client.ts";

const [host = "", port = ""] = process.argv.slice(2);
const BATCH = 16;
const KEY = "outside";
const INCREMENT = `*2\r\n$4\r\nINCR\r\n$${KEY.length}\r\n${KEY}\r\n`;

const pauses = new Pauses();
const input = watchInput();

await report(pauses, async () => {
  const socket = connect({ host, port: Number(port) }).setEncoding("latin1");
  const count = { sent: 0, answered: 0 };
  let partial = "";
  let more = Promise.withResolvers<void>();
  const ended = new Promise<never>((_, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`the connection ended after ${count.answered} replies`)));
    socket.on("data", (text: string) => {
      pauses.arrived();
      const lines = (partial + text).split("\r\n");
      partial = lines.pop() ?? "";
      for (const line of lines) {
        count.answered += 1;
        if (line !== `:${count.answered}`) reject(new Error(`redis said ${line} where :${count.answered} was due`));
      }
      more.resolve();
    });
  });
  ended.catch(() => {});
  const answers = async (most: number): Promise<void> => {
    while (count.sent - count.answered > most) {
      more = Promise.withResolvers();
      await Promise.race([more.promise, ended]);
    }
  };
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), ended]);
  pauses.begin();
  while (!input.ended) {
    socket.write(INCREMENT.repeat(BATCH));
    count.sent += BATCH;
    // Half a batch is always under way, so that a swap meets commands and replies on the wire.
    await answers(BATCH / 2);
    await Promise.race([delay(150), ended]);
  }
  await answers(0);
  return `${count.sent} pipelined increments, each answered once and in order`;
});
