/** Asking at the door: what `kmonte freeze`, `thaw` and `check` do by themselves when an ordinary user runs them. */
import { lstatSync } from "node:fs";
import { createConnection } from "node:net";
import { deserializeFailure } from "../lib/engine-thread.ts";
import { KmonteError } from "../lib/errors.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { doorPath, type DoorAnswer, type DoorRequest } from "./protocol.ts";

/** Whether this user goes through the door: not root, and there is one. */
export function hasDoor(): boolean {
  if (process.geteuid?.() === 0) return false;
  return lstatSync(doorPath(), { throwIfNoEntry: false })?.isSocket() === true;
}

/** Asks, and waits for the outcome; an abort goes away, whereupon everything is taken back. */
export async function askDoor<T>(
  request: DoorRequest,
  onProgress?: ProgressListener,
  signal?: AbortSignal,
): Promise<T> {
  const socket = createConnection(doorPath());
  const onAbort = (): void => void socket.destroy();
  signal?.addEventListener("abort", onAbort);
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    socket.setEncoding("utf8");
    let text = "";
    for await (const part of socket as AsyncIterable<string>) {
      text += part;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = JSON.parse(text.slice(0, end)) as DoorAnswer;
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

function closed(why: string, cause?: unknown): KmonteError {
  return new KmonteError(
    "DOOR_CLOSED",
    {
      what: `The service at ${doorPath()} did not answer.`,
      why,
      remedy: "Try again, or look at journalctl -u kmonte-door.",
    },
    { facts: { path: doorPath() }, cause },
  );
}
