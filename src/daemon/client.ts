/** Asking the service: what `kmonte freeze`, `thaw` and `check` do by themselves when an ordinary user runs them. */
import { lstatSync } from "node:fs";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { deserializeFailure } from "../lib/engine-thread.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { socketPath, type DaemonAnswer, type DaemonRequest } from "./protocol.ts";

/** How long the service may have no room for another connection, and how long a pause between two tries is at most. */
const PATIENCE_MS = 10_000;
const LONGEST_PAUSE_MS = 50;

/** Whether this user asks the service: not root, and it is there. */
export function hasDaemon(): boolean {
  if (process.geteuid?.() === 0) return false;
  return lstatSync(socketPath(), { throwIfNoEntry: false })?.isSocket() === true;
}

/** Asks, and waits for the outcome; an abort goes away, whereupon everything is taken back. */
export async function askDaemon<T>(
  request: DaemonRequest,
  onProgress?: ProgressListener,
  signal?: AbortSignal,
): Promise<T> {
  const socket = await connect(signal);
  const onAbort = (): void => void socket.destroy();
  signal?.addEventListener("abort", onAbort);
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    socket.setEncoding("utf8");
    let text = "";
    for await (const part of socket as AsyncIterable<string>) {
      text += part;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = JSON.parse(text.slice(0, end)) as DaemonAnswer;
        text = text.slice(end + 1);
        if (line.type === "progress") onProgress?.(line.event);
        else if (line.type === "failed") throw deserializeFailure(line.failure);
        else return line.value as T;
      }
    }
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof KmonteError || !(cause instanceof Error) || !("code" in cause)) throw cause;
    throw closed(`The connection answered ${String(cause.code)}.`, cause);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    socket.destroy();
  }
  signal?.throwIfAborted();
  throw closed("It closed the connection without an answer; it may have too much to do.");
}

/** Where as many wait already as the kernel keeps (EAGAIN of connect(2) for unix sockets), it is tried again for a while. */
async function connect(signal: AbortSignal | undefined): Promise<Socket> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const socket = createConnection(socketPath());
    try {
      await once(socket, "connect", { ...(signal && { signal }) });
      return socket;
    } catch (cause) {
      socket.destroy();
      signal?.throwIfAborted();
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== "EAGAIN" || performance.now() > deadline)
        throw closed(`The connection answered ${String(code)}.`, cause);
      await sleep(Math.random() * LONGEST_PAUSE_MS);
    }
  }
}

function closed(why: string, cause?: unknown): KmonteError {
  return failures.SERVICE_CLOSED_CONNECTION({ path: socketPath(), why, cause });
}
