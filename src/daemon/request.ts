/** One request to the service, in a process of its own: the connection is its standard input, the request comes beside it. */
import { findTask } from "../proc/read.ts";
import { procPath } from "../sys/task.ts";
import { closeSync, readFileSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import * as v from "valibot";
import type { Identity } from "../sys/identity.ts";
import { check, freeze } from "../freeze/freeze.ts";
import { tidyUp } from "../image/remove-leftovers.ts";
import { KmonteError } from "../errors/failure.ts";
import { issueOf } from "../lib/requests.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { thaw } from "../thaw/thaw.ts";
import { peerOf } from "./peer.ts";
import {
  badRequest,
  CONNECTION,
  failedAnswer,
  REQUEST,
  requestSchema,
  type DaemonAnswer,
  type DaemonRequest,
} from "./protocol.ts";

/** Who does not read what we say gets no more progress told. */
const MOST_UNREAD = 64 * 1024;
/** How long the outcome may take to be read. */
const GOODBYE_MS = 5000;

/** Answers the one request of this process, and ends. */
export async function answer(): Promise<void> {
  const socket = new Socket({ fd: CONNECTION, readable: true, writable: true });
  socket.on("error", () => undefined);
  const say = (line: DaemonAnswer): boolean => socket.write(`${JSON.stringify(line)}\n`);
  try {
    const peer = peerOf(CONNECTION);
    tidyUp();
    joinGroupOf(peer.pid);
    const request = parseRequest(readFileSync(REQUEST, "utf8"));
    closeSync(REQUEST);
    const gone = new AbortController();
    for (const event of ["end", "close", "error"]) socket.once(event, () => gone.abort());
    socket.resume();
    const tell: ProgressListener = (event) => {
      if (socket.writableLength < MOST_UNREAD) say({ type: "progress", event });
    };
    const { uid, gid, groups } = peer;
    say({ type: "done", value: await perform(request, { uid, gid, groups }, tell, gone.signal) });
  } catch (error) {
    if (!(error instanceof KmonteError)) process.stderr.write(`kmonte: ${String((error as Error).stack)}\n`);
    socket.write(failedAnswer(error));
  }
  socket.end();
  const timer = setTimeout(() => process.exit(), GOODBYE_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.destroySoon();
}

async function perform(
  request: DaemonRequest,
  user: Identity,
  onProgress: ProgressListener,
  signal: AbortSignal,
): Promise<unknown> {
  if (request.verb === "check") return await check(request.pids, { closeExternal: request.closeExternal, user });
  const { verb: _, ...job } = request;
  if ("pids" in job) {
    const { directory, processes, steps, bytes, notes } = await freeze({ ...job, user, onProgress, signal });
    return { directory, processes, steps, bytes, notes };
  }
  return await thaw({ ...job, user, onProgress, signal });
}

/** Throws a `KmonteError` at whatever is no request. */
export function parseRequest(line: string): DaemonRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw badRequest("It is not JSON.", cause);
  }
  const result = v.safeParse(requestSchema, value);
  if (result.success) return result.output;
  throw badRequest(`${issueOf(result.issues[0])}.`);
}

/** What is made for a user is counted and limited as the user's (cgroups(7)), where there is one tree of groups. */
function joinGroupOf(pid: number): void {
  try {
    const path = /^0::(\/.*)$/m.exec(readFileSync(procPath(findTask(pid), "cgroup"), "utf8"))?.[1];
    if (path !== undefined && !path.includes("/../"))
      writeFileSync(`/sys/fs/cgroup${path}/cgroup.procs`, String(process.pid));
  } catch {
    // The processes will be in the group of the service, which outlives them.
  }
}
