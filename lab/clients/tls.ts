/** tls.ts HOST PORT CERTIFICATE: one TLS session, request after request, every answer compared. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { Pauses, report, watchInput } from "./client.ts";

const [host = "", port = "", certificate = ""] = process.argv.slice(2);
const REQUEST = "GET /hello HTTP/1.1\r\nHost: lab\r\n\r\n";
const BODY = "hello across kernels\n";

const pauses = new Pauses();
const input = watchInput();

await report(pauses, async () => {
  const socket = connect({ host, port: Number(port), ca: readFileSync(certificate), servername: "lab" });
  socket.setEncoding("latin1");
  let seen = "";
  let more = Promise.withResolvers<void>();
  const ended = new Promise<never>((_, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection ended")));
    socket.on("data", (text: string) => {
      pauses.arrived();
      seen += text;
      more.resolve();
    });
  });
  ended.catch(() => {});
  await Promise.race([new Promise((resolve) => socket.once("secureConnect", resolve)), ended]);
  pauses.begin();
  let answers = 0;
  while (!input.ended) {
    socket.write(REQUEST);
    while (!seen.endsWith(BODY)) {
      more = Promise.withResolvers();
      await Promise.race([more.promise, ended]);
    }
    if (!seen.startsWith("HTTP/1.1 200 OK\r\n") || seen.split("HTTP/1.1").length !== 2) {
      throw new Error(`answer ${answers + 1} was: ${seen.slice(0, 80)}`);
    }
    seen = "";
    answers += 1;
    await Promise.race([delay(300), ended]);
  }
  return `${answers} requests in one ${socket.getProtocol()} session, each answered once`;
});
