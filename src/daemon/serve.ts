/** The service for ordinary users: a socket that anyone may connect to, and a process for each one who asks. */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { RequestProcesses } from "./request-processes.ts";
import { FOR_OTHERS, requireRoot } from "../lib/require-root.ts";
import { credentialsOf, peerOf } from "./peer.ts";
import { socketPath } from "./protocol.ts";
import { busy, turnAway, WaitingConnections } from "./waiting-connections.ts";

/** How many connections the kernel keeps that have not been taken yet; net.core.somaxconn may allow fewer (listen(2)). */
const BACKLOG = 4096;
/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** Listens; the promise is kept when it does. */
export async function serve(): Promise<Server> {
  requireRoot("serve ordinary users", FOR_OTHERS);
  const requestProcesses = new RequestProcesses();
  const room = new WaitingConnections((...heard) => hear(requestProcesses, ...heard));
  // Who has said all closes one half of the connection, and still gets an answer.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => receive(socket, room));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (process.env["LISTEN_PID"] === String(process.pid))
      server.listen({ fd: LISTEN_FDS_START, backlog: BACKLOG }, resolve);
    else server.listen({ path: freshPath(), backlog: BACKLOG }, resolve);
  });
  if (process.env["LISTEN_PID"] !== String(process.pid)) chmodSync(socketPath(), 0o666);
  return server;
}

function freshPath(): string {
  const path = socketPath();
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  return path;
}

function receive(socket: Socket, room: WaitingConnections): void {
  socket.on("error", () => undefined);
  const uid = userOf(socket);
  if (uid === undefined) socket.destroy();
  else room.admit(socket, uid);
}

/** Only who may ask gets a process; the process looks again. */
function hear(requestProcesses: RequestProcesses, socket: Socket, uid: number, request: Buffer): void {
  const fd = descriptorOf(socket);
  try {
    if (fd === undefined) throw busy("It went away.");
    peerOf(fd);
  } catch (error) {
    turnAway(socket, error as Error);
    return;
  }
  requestProcesses.take(socket, uid, request);
}

function userOf(socket: Socket): number | undefined {
  const fd = descriptorOf(socket);
  return fd === undefined ? undefined : credentialsOf(fd)?.uid;
}

function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
