/** One boot of a machine made of namespaces: from new namespaces to the end of the last process in them. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError } from "../src/errors/failure.ts";
import { childrenOf } from "../src/proc/read.ts";
import { CHECKOUT } from "./cache.ts";
import { makeControlGroup, removeControlGroup } from "./control-groups.ts";
import type { NamespaceHolder } from "./namespace-holder.ts";

const SCRIPT = join(import.meta.dirname, "namespaces/boot.sh");

/** The same at each boot, as that of a real network device. */
const LINK_ADDRESS = "02:00:00:77:00:02";

const KILL_MS = 20_000;

export class NamespaceBoot {
  readonly bootId: string = randomUUID();
  /** The control group of the host that is the root of the machine's. */
  readonly group: string;
  /** Settles when no process of the boot is left. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #consoleLog: string;
  #over = false;
  #ending = false;

  /** Starts PID 1; `beforeInit` is a script that it runs before it becomes systemd. */
  constructor(holder: NamespaceHolder, number: number, beforeInit: string) {
    this.group = `${holder.groups}${number}`;
    this.#consoleLog = join(holder.directory, `console-${number}.log`);
    makeControlGroup(this.group);
    const kmonte = process.env["KMONTE_TREE"] ?? CHECKOUT;
    // bin/kmonte's cache is mounted there; the folder is not in a fresh checkout.
    if (kmonte === CHECKOUT) mkdirSync(join(CHECKOUT, ".cache"), { recursive: true });
    const console = openSync(this.#consoleLog, "a");
    const enter = ["nsenter", `--mount=/proc/${holder.pid}/ns/mnt`, `--net=/proc/${holder.pid}/ns/net`];
    const namespaces = ["--mount", "--propagation", "private", "--pid", "--uts", "--ipc", "--net"];
    // However this program ends: unshare ends with it, and PID 1 with unshare, and all others with PID 1.
    const args = ["--pdeathsig", "KILL", ...enter, "unshare", ...namespaces, "--fork", "--kill-child", SCRIPT];
    this.#child = spawn("setpriv", args, {
      stdio: ["ignore", console, console],
      detached: true,
      env: {
        PATH: process.env["PATH"],
        ROOT: holder.root,
        GROUP: this.group,
        HOLDER: String(holder.pid),
        ADDRESS: LINK_ADDRESS,
        BOOT_ID: this.bootId,
        KMONTE: kmonte,
        BEFORE_INIT: beforeInit,
      },
    });
    closeSync(console);
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#over = true;
        resolve();
      };
      this.#child.once("error", end);
      this.#child.once("exit", end);
    });
  }

  /** What was written on its console so far. */
  console(): string {
    return readFileSync(this.#consoleLog, "utf8");
  }

  get over(): boolean {
    return this.#over;
  }

  /**
   * The host's pid of PID 1 while it is systemd. Earlier, whoever enters its mount namespace finds the host's files;
   * later, it is systemd-shutdown(8), or about to be killed.
   */
  get init(): number | undefined {
    if (this.#over || this.#ending || this.#child.pid === undefined) return undefined;
    // unshare(1) has one child, and waits for it.
    const pid = childrenOf(this.#child.pid)[0];
    return pid !== undefined && commandOf(pid) === "systemd" ? pid : undefined;
  }

  /** Whether it ended by a reboot(2) that was to restart it: PID 1 then counts as killed by SIGHUP. */
  get asksForReboot(): boolean {
    return this.#child.signalCode === "SIGHUP";
  }

  /** Ends all its processes at once, as when the kernel changes. */
  async kill(): Promise<void> {
    this.#ending = true;
    const end = Date.now() + KILL_MS;
    while (!this.#over) {
      if (Date.now() > end) throw stillRuns(this.group);
      // Again and again: PID 1 comes into its group a moment after the process that starts it.
      writeFileSync(join(this.group, "cgroup.kill"), "1");
      await Promise.race([this.ended, delay(20)]);
    }
  }

  /** Removes its control groups. The kernel removes the rest by itself. */
  async remove(): Promise<void> {
    await removeControlGroup(this.group);
  }
}

function stillRuns(group: string): KmonteError {
  const pids = readFileSync(join(group, "cgroup.procs"), "utf8").trim().split("\n").join(" ");
  return new KmonteError("LAB_NOT_ENDED", {
    what: "A machine of namespaces did not end.",
    why: `${KILL_MS / 1000} s after SIGKILL was sent to all of them, ${group} has processes: ${pids || "none"}.`,
    remedy: "Look at /proc/PID/stack of these: what waits in the kernel cannot be killed.",
  });
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
