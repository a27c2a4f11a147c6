/**
 * A rehearsal of a swap: the processes are copied while they run, the target kernel is started in a virtual machine that
 * sees the host's files and cannot write them, and the copy is thawed there. Says go or no-go.
 */
import { ownCommand } from "../../lib/own-command.ts";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, freeze } from "../../freeze/freeze.ts";
import type { ProgressListener } from "../../lib/progress.ts";
import type { HealthCommand } from "../health.ts";
import { requireAbleKernel } from "../kernel-config.ts";
import { findKernel } from "../kernels.ts";
import { pidRangeScript, presentFreePidRange } from "../pids.ts";
import { lockRoot, removeForgotten } from "../leftovers.ts";
import { defaultRehearsalRoot, newSwapDirectory } from "../store.ts";
import { kvmRuns } from "./accelerator.ts";
import { rehearsalInitramfs } from "./initramfs.ts";
import { runMachine } from "./machine.ts";

export const DEFAULT_REHEARSAL_SECONDS = 300;

export interface RehearsalOptions {
  readonly to: string;
  readonly pids: readonly number[];
  readonly health?: HealthCommand;
  /** How long the machine may take in all. */
  readonly seconds?: number;
  readonly root?: string;
  /** kmonte's own command as the machine finds it, when it is not this one. */
  readonly command?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

export interface Rehearsal {
  readonly go: boolean;
  readonly kernel: string;
  readonly emulated: boolean;
  /** How long the processes were paused for their copy. */
  readonly pausedMs: number;
  /** undefined: the machine did not come so far. */
  readonly thawed: boolean | undefined;
  readonly healthy: boolean | undefined;
  /** What thaw and health command said, or the end of the console when they said nothing. */
  readonly said: string;
}

export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const kernel = findKernel(options.to);
  const { needs } = await check(options.pids);
  requireAbleKernel(kernel, needs);
  const root = options.root ?? defaultRehearsalRoot();
  using _ = lockRoot(root, "rehearse a change of the kernel");
  removeForgotten(root);
  const { path } = newSwapDirectory(root);
  try {
    const step = (name: string): void => options.onProgress?.({ step: name, detail: kernel.release, at: Date.now() });
    step("probe");
    const accelerator = (await kvmRuns(kernel.image)) ? "kvm" : "tcg";
    const directory = join(path, "frozen");
    const frozen = await freeze({
      pids: options.pids,
      directory,
      end: "resume",
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(options.signal && { signal: options.signal }),
    });
    const next = join(path, "rehearse.sh");
    writeFileSync(next, guestScript(directory, accelerator === "tcg", options), { mode: 0o600 });
    mkdirSync(join(path, "view"));
    const initramfs = join(path, "initramfs");
    writeFileSync(initramfs, rehearsalInitramfs(kernel, next), { mode: 0o600 });
    step("rehearse");
    const console = await runMachine(
      {
        kernel: kernel.image,
        initramfs,
        directory: path,
        accelerator,
        mebibytes: 1024 + Math.ceil((frozen.bytes / 2 ** 20) * 1.5),
        seconds: options.seconds ?? DEFAULT_REHEARSAL_SECONDS,
      },
      options.signal,
    );
    const stopped = frozen.steps.find((one) => one.step === "stop")?.start ?? 0;
    return {
      ...readConsole(console, options.health !== undefined),
      kernel: kernel.release,
      emulated: accelerator === "tcg",
      pausedMs: (frozen.steps.at(-1)?.end ?? stopped) - stopped,
    };
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

const MARK = "kmonte-rehearsal:";
/** As many lines of the console are shown. */
const SAID_LINES = 20;

/** What the machine does once it has the host's files; its first process. */
function guestScript(image: string, emulated: boolean, { health, command = ownCommand() }: RehearsalOptions): string {
  // Emulated processors are poorer than the one that the real swap stays on.
  const thaw = `${command} thaw ${image}${emulated ? " --other-processor" : ""}`;
  const ask = health && `timeout ${health.seconds} sh -c '${health.command.replaceAll("'", `'\\''`)}'`;
  const keys = process.env["KMONTE_KEYS"];
  return `export PATH=/usr/sbin:/usr/bin:/sbin:/bin${keys === undefined ? "" : ` KMONTE_KEYS=${keys}`}
# What the host remembers is of another machine: its images live there, and what it has not finished is its own.
export KMONTE_STATE=/dev/shm/kmonte
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
${pidRangeScript(presentFreePidRange())}
exec >/dev/ttyS0 2>&1 </dev/null
echo; echo "${MARK} begin"
${thaw}
status=$?; echo "${MARK} thaw $status"
${ask ? `[ $status -eq 0 ] && { ${ask}; echo "${MARK} health $?"; }` : ""}
echo "${MARK} end"
echo b >/proc/sysrq-trigger
sleep 60
`;
}

/** Pure. */
export function readConsole(console: string, asked: boolean): Pick<Rehearsal, "go" | "thawed" | "healthy" | "said"> {
  const text = console.replaceAll("\r", "");
  const status = (what: string): boolean | undefined => {
    const found = new RegExp(`^${MARK} ${what} (\\d+)$`, "m").exec(text)?.[1];
    return found === undefined ? undefined : found === "0";
  };
  const thawed = status("thaw");
  const healthy = status("health");
  const begin = text.indexOf(`${MARK} begin`);
  const lines = (begin < 0 ? text : text.slice(begin)).split("\n").filter((line) => line && !line.startsWith(MARK));
  return {
    go: thawed === true && (!asked || healthy === true),
    thawed,
    healthy,
    said: telling(lines).join("\n"),
  };
}

/** The last lines; of a kernel that panicked, why it did, and not the end of its trace. */
function telling(lines: readonly string[]): readonly string[] {
  const panic = lines.findIndex((line) => line.includes("Kernel panic"));
  return panic < 0 ? lines.slice(-SAID_LINES) : lines.slice(Math.max(0, panic - SAID_LINES / 2), panic + 1);
}
