/** Servers under the load of their own measuring tools, through several freezes and thaws: the tools see no error. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Program } from "./harness.ts";

const missing = (...paths: string[]): string | false => {
  const gone = paths.filter((path) => !existsSync(path));
  return gone.length === 0 ? false : `${gone.join(", ")} not there`;
};
const CYCLES = 3;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function cycle(server: Program): Promise<void> {
  for (let i = 0; i < CYCLES; i += 1) {
    await sleep(300);
    await server.roundTrip();
  }
}

test(
  "redis-server under redis-benchmark",
  { skip: missing("/usr/bin/redis-server", "/usr/bin/redis-benchmark", "/usr/sbin/nft") },
  async () => {
    const port = await freePort();
    await using server = Program.start("/usr/bin/redis-server", [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
    ]);
    await server.waitFor(/Ready to accept/);
    // It would go on for long; the rest of the machine comes first.
    const options = ["-p", String(port), "-c", "20", "-n", "100000000", "-t", "incr", "-q"];
    await using load = Program.start("/usr/bin/nice", ["-n", "19", "/usr/bin/redis-benchmark", ...options]);
    await cycle(server);
    // It ends at the first error.
    await sleep(500);
    assert.ok(load.alive, load.output);
    assert.doesNotMatch(load.output, /error/i);
  },
);

test("nginx under wrk", { skip: missing("/usr/sbin/nginx", "/usr/bin/wrk", "/usr/sbin/nft") }, async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "kmonte-nginx-"));
  try {
    mkdirSync(join(folder, "html"));
    writeFileSync(join(folder, "html", "index.html"), "x".repeat(20_000));
    writeFileSync(
      join(folder, "nginx.conf"),
      `daemon off; worker_processes 2; pid ${folder}/pid; error_log ${folder}/error.log; user root;
       events { worker_connections 256; }
       http { access_log off; keepalive_requests 1000000; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b;
              fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
              server { listen 127.0.0.1:${port}; root ${folder}/html; } }`,
    );
    await using server = Program.start("/usr/sbin/nginx", ["-c", `${folder}/nginx.conf`, "-p", folder]);
    await sleep(500);
    assert.ok(server.alive, server.output);
    await using load = Program.start("/usr/bin/nice", [
      "-n",
      "19",
      "/usr/bin/wrk",
      "-t1",
      "-c20",
      "-d15s",
      "--timeout",
      "15s",
      `http://127.0.0.1:${port}/`,
    ]);
    await cycle(server);
    await load.waitFor(/Requests\/sec/);
    assert.doesNotMatch(load.output, /Socket errors|Non-2xx/, load.output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
