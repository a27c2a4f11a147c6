/** A socket that kmonte has in repair mode when it is killed: the guard lets it go on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Program, until } from "./harness.ts";

const SOURCES = new URL("../src/", import.meta.url).href;

/** Prints whether its connection still carries bytes, each time it gets SIGUSR1. */
const SCRIPT = `
import signal, socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other, _ = server.accept()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("FD", client.fileno(), flush=True)
while signal.sigwait({signal.SIGUSR1}):
    try:
        client.sendall(b"x")
        print("GOOD" if other.recv(1) == b"x" and client.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1 else "BAD", flush=True)
    except OSError as error:
        print("BAD", error, flush=True)
`;

const holder = (pid: number, fd: number, ending: string): string => `
const { call } = await import("${SOURCES}sys/call.ts");
const { enterRepair, leaveRepair } = await import("${SOURCES}sys/tcp.ts");
const { RepairGuard } = await import("${SOURCES}resources/socket/tcp/repair-guard.x86_64.ts");
const pidfd = call("pidfd_open", "test", ${pid}, 0);
const socket = call("pidfd_getfd", "test", pidfd, ${fd}, 0);
const guard = new RepairGuard([{ fd: socket, reuseAddress: 1 }]);
enterRepair(socket);
console.log("held");
${ending}
`;

async function hold(program: Program, ending: string): Promise<ReturnType<typeof spawn>> {
  const fd = Number(/^FD (\d+)$/m.exec(program.output)?.[1]);
  const code = holder(program.pid, fd, ending);
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}

test("kmonte is killed while a socket is in repair mode", async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", SCRIPT]);
  await program.waitFor(/^FD \d+$/m);
  const child = await hold(program, "setInterval(() => {}, 1000);");
  process.kill(program.pid, "SIGUSR1");
  await program.waitFor(/^BAD/m);
  child.kill("SIGKILL");
  await once(child, "exit");
  await until(() => {
    if (program.alive) process.kill(program.pid, "SIGUSR1");
    return /^GOOD$/m.test(program.output);
  }, "the connection to go on");
});

test("a guard that is not needed any more goes, and leaves nothing behind", async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", SCRIPT]);
  await program.waitFor(/^FD \d+$/m);
  const child = await hold(
    program,
    `leaveRepair(socket, -1, 1); const { readdirSync } = await import("node:fs");
     guard[Symbol.dispose](); setTimeout(() => process.exit(0), 50);`,
  );
  const [status] = (await once(child, "exit")) as [number];
  assert.equal(status, 0);
  assert.ok(!existsSync(`/proc/${child.pid}`));
  process.kill(program.pid, "SIGUSR1");
  await program.waitFor(/^GOOD$/m);
});
