/** `kmonte swap --to KERNEL --pid PID…` */
import type { Command } from "commander";
import type { HeldNeed } from "../../freeze/check/kernel-needs.ts";
import { requireAbleKernel } from "../../swap/kernel-config.ts";
import { swap } from "../../swap/swap.ts";
import { swapTarget, type Target } from "../../swap/target.ts";
import { DEFAULT_HEALTH_SECONDS } from "../../swap/health.ts";
import { healthCommand, readSettings, SETTINGS_FILE, type SwapSettings } from "../../swap/settings.ts";
import { DEFAULT_DEADLINE_SECONDS } from "../../swap/watchdog.ts";
import { collect, parsePid, parseSeconds } from "../arguments.ts";
import { interruptible } from "../interrupt.ts";
import { showProgress } from "../progress.ts";
import { advise } from "../../swap/doctor/advice.ts";
import { Machine } from "../../swap/doctor/machine.ts";
import { requireRoot } from "../../lib/require-root.ts";
import type { Advice } from "../../errors/failure.ts";
import { describeFindings, tell } from "../output.ts";
import { agreedPlan } from "../unit-plan.ts";
import { unattended } from "../unattended.ts";

interface Options {
  readonly to?: string;
  readonly pid?: number[];
  readonly tolerate?: string[];
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly unattended?: boolean;
  readonly health?: string;
  readonly healthTimeout?: number;
  readonly deadline?: number;
  readonly append?: string;
  readonly encryptTo?: string[];
  readonly keep?: boolean;
  readonly json?: boolean;
}

export function addSwap(program: Command): void {
  program
    .command("swap")
    .description("boot another kernel with kexec, and take the protected units along")
    .option(
      "--to <kernel>",
      "a version in /boot, or the beginning of one, or the path of a kernel image; without it, the newest in /boot",
    )
    .option("--pid <pid>", "a process to take along, with all its descendants; may be given again", parsePid)
    .option(
      "--tolerate <unit>",
      "a protected unit, or a pattern, to start anew if it alone cannot be thawed; may be given again",
      collect,
    )
    .option("--plan", "show what would be done, and do nothing")
    .option("-y, --yes", "do not ask")
    .option("--unattended", "do not ask, do nothing when the newest kernel runs already, and send the result by mail")
    .option(
      "--health <command>",
      "a command for sh, run when the new kernel is up: if it fails, go back to the old one",
    )
    .option("--health-timeout <seconds>", `how long it may take: ${DEFAULT_HEALTH_SECONDS} if not set`, parseSeconds)
    .option(
      "--deadline <seconds>",
      `restart when the new kernel has not thawed by then: ${DEFAULT_DEADLINE_SECONDS} if not set`,
      parseSeconds,
    )
    .option("--encrypt-to <recipient>", "encrypt the images to an age recipient (age1…); may be given again", collect)
    .option("--keep", "keep the images when the machine is known to be well")
    .option("--append <words>", "add to the new kernel's command line")
    .option("--json", "print the plan or an error as JSON; on success there is nobody left to print to")
    .addHelpText(
      "after",
      `
What goes along are the protected units (kmonte protect) and the processes named with --pid. A plan is shown and agreed
to first, with what a person should know before, and what might do without a swap. What stands in the way in the machine
is refused, as kmonte doctor shows it: packages half configured or being installed, kexec disabled, a kernel or initramfs
that is not whole, and more. The kernel is loaded with its initramfs and the present command line. Then systemd stops
all other units in their order, while those that go along still serve; these are frozen to /var/lib/kmonte/swap, the file
systems are synced and remounted read-only, and the new kernel is started without going through the firmware. Processes
in no unit that can be stopped (your own session, what protected units need) are killed without SIGTERM.
kmonte-thaw.service, which this command writes, sets the processes running again at boot, and systemd has the same units
with the same processes; kmonte report then shows how long each step took.

If the new kernel cannot take the processes, or the health command fails, the machine goes back to the old kernel by
kexec, and they resume there from the same images. A kernel that panics or hangs is reset by panic= or a watchdog; the
firmware then starts the old kernel: GRUB and systemd-boot are told so for one boot, any other boot loader must do so by
default.
kmonte report says what was tried. Either all come back, or the machine goes back with all; with --tolerate, a unit that
alone cannot be thawed is started anew by systemd, the others resume, and its image stays. It must share nothing with
the others (connections, files, memory).

What the images hold is removed when the processes run again and the health command, if there is one, has succeeded;
kmonte report stays. With --encrypt-to the images are never on disk in the clear; one of the keys must be this machine's
own (kmonte key new --encryption), which opens them at boot.

What is not said here stands in ${SETTINGS_FILE}, if it is there: Health=, HealthTimeout=, Deadline= and Tolerate= as the
options, and Mail=, who is told of the result of a swap with --unattended, which kmonte-swap.timer makes.

Until the moment of the kexec every failure, ^C included, leaves the machine and the processes as they were, and starts
again what was stopped.

Examples:
  kmonte kernels
  sudo kmonte protect redis-server nginx
  sudo kmonte swap --plan
  sudo kmonte swap --to 6.12 --health 'redis-cli ping'
  sudo kmonte swap --to 6.12 --pid 4711 --yes`,
    )
    .action(async (options: Options) => {
      requireRoot("change the kernel");
      const settings = readSettings();
      if (options.unattended)
        await unattended(settings.mail, options.json, () => act({ ...options, yes: true }, settings));
      else await act(options, settings);
    });
}

async function act(options: Options, settings: SwapSettings): Promise<void> {
  const { pid = [], ...more } = options;
  const advice = advise(new Machine());
  const { kernel, warnings } = targetOr(options, advice);
  const departing = { purpose: `change to Linux ${kernel.release}`, how: "swap", warnings, advice } as const;
  const requireAble = (needs: readonly HeldNeed[]): void => requireAbleKernel(kernel, needs);
  const asked = { ...options, tolerateIfRunning: settings.tolerate };
  const plan = await agreedPlan({ ...departing, requireAble }, pid, asked);
  if (plan === undefined) return;
  const health = options.health ?? healthCommand(settings.health);
  const seconds = options.healthTimeout ?? settings.healthSeconds ?? DEFAULT_HEALTH_SECONDS;
  const progress = showProgress(options.json === true);
  await interruptible((signal) =>
    swap({
      kernel,
      pids: pid,
      plan,
      ...(health !== undefined && { health: { command: health, seconds } }),
      append: more.append,
      encryptTo: more.encryptTo,
      keep: more.keep,
      mailTo: options.unattended ? settings.mail : undefined,
      deadlineSeconds: options.deadline ?? settings.deadlineSeconds,
      onProgress: progress.listen,
      signal,
    }),
  ).finally(progress.end);
}

/** Where there is nothing to change to, something else may be what is wanted. */
function targetOr({ to, json }: Options, advice: readonly Advice[]): Target {
  try {
    return swapTarget(to);
  } catch (error) {
    if (!json) for (const line of describeFindings("Perhaps without a swap:", advice)) tell(line);
    throw error;
  }
}
