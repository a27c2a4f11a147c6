/** The door for ordinary users: a socket that anyone may connect to, and a process for each one who does. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { Refusal } from "../lib/errors.ts";
import { programFile } from "../lib/program-files.ts";
import { credentialsOf } from "./peer.ts";
import { doorPath } from "./protocol.ts";

/** Whoever comes when there are as many is turned away, and tries again. */
const MOST_AT_ONCE = 32;
const MOST_OF_ONE_USER = 4;
/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** Opens the door; the promise is kept when it listens. */
export async function serve(): Promise<Server> {
  if (process.geteuid?.() !== 0) {
    throw new Refusal("NOT_ROOT", {
      what: "Only root can keep the door.",
      why: "It does for others what needs rights that they do not have.",
      remedy: "Run it with sudo, or enable kmonte-door.socket.",
    });
  }
  const present = new Map<number, number>();
  // Nothing is read here: what is read is read by a process that does nothing else.
  const server = createServer({ pauseOnConnect: true }, (socket) => receive(socket, present));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (process.env["LISTEN_PID"] === String(process.pid)) server.listen({ fd: LISTEN_FDS_START }, resolve);
    else server.listen(freshPath(), resolve);
  });
  if (process.env["LISTEN_PID"] !== String(process.pid)) chmodSync(doorPath(), 0o666);
  return server;
}

function freshPath(): string {
  const path = doorPath();
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  return path;
}

function receive(socket: Socket, present: Map<number, number>): void {
  socket.on("error", () => undefined);
  const uid = userOf(socket);
  const mine = uid === undefined ? MOST_OF_ONE_USER : (present.get(uid) ?? 0);
  const all = [...present.values()].reduce((sum, count) => sum + count, 0);
  if (uid === undefined || mine >= MOST_OF_ONE_USER || all >= MOST_AT_ONCE) {
    socket.destroy();
    return;
  }
  present.set(uid, mine + 1);
  const leave = (): void => {
    const left = (present.get(uid) ?? 1) - 1;
    if (left > 0) present.set(uid, left);
    else present.delete(uid);
  };
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", programFile("door/answer-main")], {
    stdio: [socket, "ignore", "inherit"],
    cwd: "/",
    detached: true,
  });
  child.once("error", leave);
  child.once("exit", leave);
  socket.destroy();
}

function userOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } };
  return handle?.fd === undefined ? undefined : credentialsOf(handle.fd)?.uid;
}
