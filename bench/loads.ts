/** What is frozen and thawed: each load starts anew for every run. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PROGRAMS = new URL("programs/", import.meta.url).pathname;
const BUILD = new URL("../.cache/bench/programs/", import.meta.url).pathname;

export interface Load {
  readonly name: string;
  readonly title: string;
  readonly runs: number;
  /** What criu has to be told of it. */
  readonly criu?: readonly string[];
  /** Starts it in `directory` and returns its pid when it is up. */
  start(directory: string): Promise<number>;
}

export const loads: readonly Load[] = [
  { name: "tiny", title: "tiny static C process", runs: 7, start: (at) => program(at, "tiny", ["-static"], []) },
  {
    name: "python3",
    title: "python3",
    runs: 7,
    start: (at) => run(at, "/usr/bin/python3", ["-c", "import json, time; print('up', flush=True); time.sleep(9e5)"]),
  },
  { name: "redis", title: "redis, 1 GiB of data", runs: 3, start: redis },
  { name: "random", title: "4 GiB random anonymous", runs: 3, start: (at) => program(at, "random", [], ["4096"]) },
  { name: "tree", title: "tree of 100 processes", runs: 5, start: (at) => program(at, "tree", ["-static"], ["100"]) },
  { name: "threads", title: "1,000 threads", runs: 5, start: (at) => program(at, "threads", ["-pthread"], ["1000"]) },
  connections(1, 7),
  connections(100, 5),
  connections(1000, 3),
  // The most that a hard limit of 20,000 open files leaves room for: kmonte has both ends open too.
  connections(9900, 1),
];

/** Both ends of each in one process. */
function connections(count: number, runs: number): Load {
  return {
    name: `connections-${count}`,
    title: `${count.toLocaleString("en")} TCP connection${count === 1 ? "" : "s"}`,
    runs,
    criu: ["--tcp-established", "--network-lock", "nftables"],
    start: (at) => program(at, "connections", ["-static"], [String(count)]),
  };
}

export function program(
  directory: string,
  name: string,
  flags: readonly string[],
  args: readonly string[],
): Promise<number> {
  mkdirSync(BUILD, { recursive: true });
  const to = join(BUILD, name);
  if (!existsSync(to)) execFileSync("gcc", ["-O2", "-o", to, join(PROGRAMS, `${name}.c`), ...flags]);
  return run(directory, to, args, name === "tiny" ? "" : "up");
}

const START = `for fd in /proc/$$/fd/*; do fd=\${fd##*/}; ((fd > 2)) && exec {fd}>&-; done; echo $$ > pid; exec "$@"`;

async function run(directory: string, command: string, args: readonly string[], ready = "up"): Promise<number> {
  const path = join(directory, "output");
  const output = openSync(path, "w");
  const nothing = openSync("/dev/null", "r");
  // A session of its own, no terminal, this directory as its own, and nothing open that we were started with: nothing
  // leads outside.
  const child = spawn("setsid", ["--fork", "bash", "-c", START, "bash", command, ...args], {
    cwd: directory,
    stdio: [nothing, output, output],
  });
  closeSync(output);
  closeSync(nothing);
  await new Promise((resolve) => child.on("exit", resolve));
  for (let i = 0; i < 6000; i += 1) {
    const pid = existsSync(join(directory, "pid")) ? Number(readFileSync(join(directory, "pid"), "utf8")) : 0;
    if (pid > 0 && readFileSync(path, "utf8").includes(ready)) return pid;
    await sleep(10);
  }
  throw new Error(`${command} did not come up:\n${readFileSync(path, "utf8")}`);
}

async function redis(directory: string): Promise<number> {
  const options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--enable-debug-command", "yes"];
  const pid = await run(directory, "/usr/bin/redis-server", options, "connections at");
  await new Promise<void>((resolve, reject) => {
    const socket = connect(join(directory, "redis.sock"), () => socket.write("DEBUG POPULATE 1000000 key 1000\r\n"));
    socket.on("data", (data) => {
      socket.destroy();
      if (data.toString().startsWith("+OK")) resolve();
      else reject(new Error(data.toString()));
    });
    socket.on("error", reject);
  });
  await sleep(200);
  return pid;
}
