/**
 * A machine made of namespaces: a Debian on a disk of its own, with its own systemd as PID 1, on the host's kernel.
 * It boots in seconds.
 *
 *     await using machine = await NamespaceMachine.make({ debian: "12", packages: ["redis-server"] });
 *     await machine.boot();
 *     await machine.run(["systemctl", "status", "redis-server"]);
 *     await machine.reboot();
 *
 * A reboot here is what a kexec is to programs: no process is left, /run, /tmp, /dev/shm, the network and boot_id are
 * new, pids begin with 1 again, the disk is as it was. Unlike after a kexec, the kernel is the same one, its
 * CLOCK_MONOTONIC goes on, what was written to the disk without fsync(2) is there, and what has no namespace (most of
 * /proc/sys, devices, keys, the quotas of user ids, a kernel loaded for kexec) is the host's.
 */
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError, Refusal } from "../src/errors/failure.ts";
import { ensurePackages } from "../scripts/packages.ts";
import { type Answer, GuestRestarted } from "./channel.ts";
import { makeControlGroup } from "./control-groups.ts";
import { NamespaceBoot } from "./namespace-boot.ts";
import { type DiskContents, namespaceDisk } from "./namespace-disk.ts";
import { NamespaceHolder } from "./namespace-holder.ts";
import { attachInside, runInside, type RunOptions } from "./namespace-run.ts";
import type { ClientNetwork } from "./wire.ts";

export interface NamespaceMachineOptions extends DiskContents {
  /** Told what is being made ready, for people. */
  readonly onStep?: (step: string) => void;
}

export interface BootOptions {
  /**
   * A shell script that runs as a child of PID 1 before it becomes systemd, as an initramfs would run it: the disk is
   * the root, /run is the one that systemd will find, the network is not up, no pid but those of the boot is taken.
   * When it fails, the boot does.
   */
  readonly beforeInit?: string;
  /** How long all that may take; 90 s by default. */
  readonly timeoutMs?: number;
}

/** What `systemctl is-system-running` says of a machine whose boot is over. */
export type SystemState = "running" | "degraded" | "maintenance";

const NAMESPACE_PACKAGES = ["mmdebstrap", "e2fsprogs", "util-linux", "iproute2"];

const BOOT_MS = 90_000;
/** Units may take 90 s to stop, one after the other. */
const SHUTDOWN_MS = 180_000;

/** Commands run in a group of their own: where controllers are in use, systemd's root group may have no process. */
const COMMANDS = "lab";

export class NamespaceMachine implements AsyncDisposable {
  readonly #holder: NamespaceHolder;
  #boot: NamespaceBoot | undefined;
  #boots = 0;

  private constructor(holder: NamespaceHolder) {
    this.#holder = holder;
  }

  /** A machine with a copy of the disk for itself, not booted yet. */
  static async make(options: NamespaceMachineOptions): Promise<NamespaceMachine> {
    const step = options.onStep ?? (() => {});
    ensurePackages(NAMESPACE_PACKAGES);
    step(`Debian ${options.debian}`);
    const disk = await namespaceDisk(options);
    step("disk and network");
    return new NamespaceMachine(await NamespaceHolder.open(disk.path));
  }

  /** What the host's names for its control groups and its folder contain. */
  get name(): string {
    return basename(this.#holder.directory);
  }

  /** Where clients outside of the machine run, on the other side of its network device. */
  get network(): ClientNetwork {
    return this.#holder.network;
  }

  /** The boot_id of the present boot. */
  get bootId(): string {
    return this.#running().bootId;
  }

  /** The host's pid of PID 1. */
  get init(): number {
    return this.#init(this.#running());
  }

  /** Whether the machine has ended, and asked for a reboot by that (`systemctl reboot` in it). */
  get asksForReboot(): boolean {
    return this.#boot?.over === true && this.#boot.asksForReboot;
  }

  /** What was written before systemd had its journal: by the scripts that run before it, and by itself. */
  console(): string {
    return this.#boot?.console() ?? "";
  }

  /** Boots, and waits until systemd has started all that it means to start. */
  async boot(options: BootOptions = {}): Promise<SystemState> {
    if (this.#boot && !this.#boot.over) throw new Error("the machine runs already");
    await this.#boot?.remove();
    this.#boots += 1;
    const boot = new NamespaceBoot(this.#holder, this.#boots, options.beforeInit ?? "");
    this.#boot = boot;
    const timeoutMs = options.timeoutMs ?? BOOT_MS;
    const end = Date.now() + timeoutMs;
    while (boot.init === undefined) await this.#pause(boot, end, timeoutMs);
    makeControlGroup(join(boot.group, COMMANDS));
    for (;;) {
      const state = await this.#stateAtEnd(end);
      if (state !== undefined) return state;
      await this.#pause(boot, end, timeoutMs);
    }
  }

  /** Ends all processes, if there are any, without asking them, as kexec does, and boots again. */
  async reboot(options: BootOptions = {}): Promise<SystemState> {
    await this.#boot?.kill();
    return this.boot(options);
  }

  /** Shuts down as an administrator does, with systemd stopping all units, and boots again. */
  async restart(options: BootOptions = {}): Promise<SystemState> {
    await this.powerOff();
    return this.boot(options);
  }

  /** Shuts down with systemd stopping all units; systemd's reboot(2) ends its pid namespace. */
  async powerOff(): Promise<void> {
    const boot = this.#running();
    // The command may not live to see what it asked for.
    const asked = this.run(["systemctl", "poweroff"]).catch((error: unknown) => {
      if (!(error instanceof GuestRestarted)) throw error;
    });
    await this.#end(boot);
    await asked;
  }

  /** Waits for the end of a shutdown, if one is under way. */
  async settled(): Promise<void> {
    const boot = this.#boot;
    if (!boot || boot.over) return;
    const asked = this.run(["systemctl", "is-system-running"]).then(({ stdout }) => stdout.toString().trim());
    const state = await asked.catch((error: unknown) => {
      if (error instanceof GuestRestarted || boot.init === undefined) return "stopping";
      throw error;
    });
    if (state === "stopping") await this.#end(boot);
  }

  /** Runs a program in the machine, in no unit, and gives what it wrote and its exit status (128 + N after signal N). */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Answer> {
    const boot = this.#running();
    const init = this.#init(boot);
    const answer = await runInside(init, join(boot.group, COMMANDS), argv, options).catch((error: unknown) => error);
    // Whatever it says: it was killed.
    if (boot.init === undefined) throw new GuestRestarted();
    if (answer instanceof Error) throw answer;
    return answer as Answer;
  }

  /** Runs a program that must succeed and gives what it wrote. */
  async output(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const answer = await this.run(argv, options);
    if (answer.code === 0) return answer.stdout.toString();
    throw new KmonteError("LAB_GUEST_COMMAND_FAILED", {
      what: `In the machine, ${argv.join(" ")} failed (${answer.code}).`,
      why: (answer.stderr.toString() || answer.stdout.toString()).trim(),
    });
  }

  /** Starts a program as a child of init, in a session of its own, and gives its pid; output is added to a file. */
  async start(argv: readonly string[], output: string): Promise<number> {
    const program = 'echo $$; exec "$@" </dev/null >>"$0" 2>&1';
    const script = 'mkdir -p "$(dirname "$1")" && : >>"$1" || exit; setsid sh -c "$0" "$@" &';
    const said = await this.output(["sh", "-c", script, program, output, ...argv]);
    return Number(said);
  }

  /** Writes a file in the machine. */
  async put(path: string, data: string | Buffer, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$0" "$1"';
    await this.output(["sh", "-c", script, mode.toString(8), path], { input: data });
  }

  /** Reads a file of the machine. */
  async get(path: string): Promise<Buffer> {
    const { code, stdout, stderr } = await this.run(["cat", path]);
    if (code === 0) return stdout;
    throw new KmonteError("LAB_GUEST_COMMAND_FAILED", {
      what: `In the machine, ${path} cannot be read.`,
      why: stderr.toString().trim(),
    });
  }

  /** Runs a program with the standard input, output and error of this one; gives its exit status. */
  async attach(argv: readonly string[]): Promise<number> {
    const boot = this.#running();
    return attachInside(this.#init(boot), join(boot.group, COMMANDS), argv);
  }

  /** A shell for a person, on a terminal of the machine; gives its exit status. */
  shell(): Promise<number> {
    return this.attach(["script", "--quiet", "--return", "--command", "bash --login", "/dev/null"]);
  }

  #running(): NamespaceBoot {
    if (this.#boot && !this.#boot.over) return this.#boot;
    throw new Refusal("LAB_NOT_BOOTED", { what: "The machine does not run.", remedy: "Boot it first." });
  }

  #init(boot: NamespaceBoot): number {
    const pid = boot.init;
    if (pid !== undefined) return pid;
    throw new Refusal("LAB_NOT_BOOTED", { what: "The machine’s systemd does not run.", why: this.#lastWords() });
  }

  async #end(boot: NamespaceBoot): Promise<void> {
    await Promise.race([boot.ended, delay(SHUTDOWN_MS, undefined, { ref: false })]);
    if (!boot.over) throw await this.#failure("LAB_NOT_SHUT_DOWN", "shut down", SHUTDOWN_MS);
  }

  /** What systemd says when the boot is over; undefined when it cannot be asked yet, or not any more. */
  async #stateAtEnd(end: number): Promise<SystemState | undefined> {
    const ask = ["systemctl", "is-system-running", "--wait"];
    const timeoutMs = Math.max(1, end - Date.now());
    const asked = this.run(ask, { timeoutMs }).then(({ stdout }) => stdout.toString());
    const said = await asked.catch((error: unknown) => {
      if (error instanceof KmonteError) return "";
      throw error;
    });
    return /^(running|degraded|maintenance)$/m.exec(said)?.[1] as SystemState | undefined;
  }

  async #pause(boot: NamespaceBoot, end: number, timeoutMs: number): Promise<void> {
    if (boot.over || Date.now() > end) throw await this.#failure("LAB_MACHINE_FAILED", "boot", timeoutMs);
    await Promise.race([boot.ended, delay(50)]);
  }

  async #failure(code: string, what: string, timeoutMs: number): Promise<KmonteError> {
    const over = this.#boot?.over === true;
    const state = over ? "Its PID 1 ended" : `It still runs after ${timeoutMs / 1000} s`;
    const said = `the end of its console:\n${this.#lastWords()}${over ? "" : await this.#waitingJobs()}`;
    return new KmonteError(code, {
      what: `The machine of namespaces did not ${what}.`,
      why: `${state}; ${said}`,
      remedy: "Try the unit or script that is named last in a shell of such a machine: npm run machine.",
    });
  }

  /** What systemd is waiting for, for people; nothing when it cannot be asked. */
  async #waitingJobs(): Promise<string> {
    const script = "systemctl list-jobs --no-pager; journalctl -b -n 10 --no-pager -o cat";
    const asked = this.run(["sh", "-c", script], { timeoutMs: 5_000 });
    return asked.then(
      ({ stdout }) => `\nIts jobs, and the end of its journal:\n${stdout.toString().trim()}`,
      () => "",
    );
  }

  #lastWords(): string {
    return this.console().trim().split("\n").slice(-15).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _holder = this.#holder;
    await this.#boot?.kill();
    await this.#boot?.remove();
  }
}
