/** Suspends processes to disk over a power-off or a restart; the next boot, of whatever kernel, brings them back (resume.ts). */
import { isFirstPidNamespace } from "../proc/first-namespace.ts";
import { depart, type DepartOptions, type WayOut } from "./depart.ts";
import { powerOffMachine, restartMachine } from "./kexec.ts";

export interface SuspendOptions extends DepartOptions {
  /** The machine restarts through its firmware, or its container does, instead of being powered off. */
  readonly restart?: boolean | undefined;
}

/** Does not return when it works; whenever it throws, all goes on as before. */
export async function suspend(options: SuspendOptions): Promise<never> {
  return await depart(byPower(options.restart === true), options);
}

function byPower(restart: boolean): WayOut {
  const nothing = (): void => undefined;
  return {
    kind: "suspend",
    to: undefined,
    lastStep: restart ? ["restart", "this machine"] : ["power-off", "this machine"],
    prepare: () => ({ load: () => [] }),
    ownsDisks: isFirstPidNamespace(),
    beforeLeaving: nothing,
    leave: restart ? restartMachine : powerOffMachine,
    cancel: nothing,
  };
}
