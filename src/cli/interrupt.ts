/** ^C and termination as an AbortSignal, so that work in progress is taken back in order. */
import { failures } from "../errors/catalogue.ts";

/** Runs `work` with a signal that SIGINT, SIGTERM and SIGHUP abort. A second ^C ends kmonte at once: the kernel cleans up. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.kill(process.pid, "SIGKILL");
    controller.abort(failures.INTERRUPTED.signal({ name }));
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}
