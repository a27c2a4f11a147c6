/** The systemd units that thaw at boot what a swap froze and see to the way back, and their installation. */
import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ownCommand } from "../lib/own-command.ts";
import { keyDirectory, machineKey } from "../image/trust/keys.ts";
import { failures } from "../errors/catalogue.ts";
import { USER_UNIT, userUnitText } from "../units/dynamic-users.ts";
import { HAND_OVER_UNIT, THAWED_UNIT } from "../units/hand-over.ts";
import {
  HAND_OVER_DROP_IN,
  isSystemdRunning,
  requireUnitPath,
  unitArgument,
  UNIT_DIRECTORY,
  unitGlob,
  unitWord,
  writeUnit,
} from "../lib/systemd-unit.ts";
import { stateDirectory } from "../lib/state-directory.ts";
import { SWAP_PARAMETER } from "./kexec.ts";
import { MAIL_MARK } from "./mail.ts";
import { hasOtherDisks, presentMounts, requireLasting } from "./mounts.ts";
import { PLAIN_QUARANTINE_FILE, QUARANTINE_FILE } from "./network.ts";
import { PENDING_MARK } from "./store.ts";

export const THAW_UNIT = "kmonte-thaw.service";
export const HEALTH_UNIT = "kmonte-health.service";
export const BACK_UNIT = "kmonte-back.service";
const RESULT_UNIT = "kmonte-result.service";

export interface UnitOptions {
  readonly command: string;
  /** Where swaps are remembered. */
  readonly root: string;
  /** Where the keys are that images are checked and opened with. */
  readonly keys: string;
  /** Where kmonte remembers what it must (state-directory.ts). */
  readonly state: string;
  /** Whether the files of the processes may lie on other disks than that of the root directory. */
  readonly otherDisks: boolean;
}

/**
 * The silence of frozen connections begins before anything else: an answer from a kernel that does not know them would
 * be a reset. Whatever becomes of the thaw, it lasts until they are thawed.
 */
function quarantineCommand(root: string): string {
  const script = `for rules in "$$0"/*/${QUARANTINE_FILE}; do [ -e "$\${rules%%/*}/${PENDING_MARK}" ] && { nft -f "$$rules" || nft -f "$\${rules%%/*}/${PLAIN_QUARANTINE_FILE}"; }; done`;
  return `-/bin/sh -c '${script}' ${unitArgument(root)}`;
}

/**
 * The unit's text. It runs as soon as the disks that it needs are there and before anything that could take an id or
 * empty /tmp. When all files lie on the root file system, it does not even wait for udev to find the other devices.
 */
export function unitText(options: UnitOptions): string {
  const disks = options.otherDisks
    ? "After=local-fs.target"
    : "Before=systemd-udevd.service systemd-udev-trigger.service local-fs-pre.target";
  const mounts = [dirname(dirname(options.command)), options.root, options.keys, options.state];
  return `# Written by kmonte swap.
[Unit]
Description=Sets running again what kmonte froze before the change of kernel
Documentation=man:kmonte(1)
DefaultDependencies=no
ConditionPathExistsGlob=${unitGlob(options.root)}/*/${PENDING_MARK}
OnFailure=${BACK_UNIT}
# Disks that do not come, too, end in the way back.
JobTimeoutSec=1800
RequiresMountsFor=${mounts.map((path) => unitWord(path)).join(" ")} /tmp
Wants=network-pre.target
After=systemd-remount-fs.service systemd-sysctl.service
${disks}
Before=network-pre.target systemd-tmpfiles-setup.service sysinit.target basic.target shutdown.target
Conflicts=shutdown.target

[Service]
# Ready before its end, when all are back that need no network: the boot brings up the network for the others.
Type=notify
ExecStartPre=${quarantineCommand(options.root)}
Environment=${unitWord(`KMONTE_KEYS=${options.keys}`)} ${unitWord(`KMONTE_STATE=${options.state}`)}
ExecStart=${unitWord(options.command)} thaw --boot
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity
# What has been thawed is not part of this service, and stays when it ends.
KillMode=process
OOMScoreAdjust=-1000
# The frozen processes wait for this, and all else that the boot starts wants the processors too. CPUWeight= would turn
# the controller on for all units, which would share the processors otherwise than before from then on.
Nice=-20

[Install]
WantedBy=sysinit.target
`;
}

/** The unit that sees to it that systemd has the thawed units again, when all else has been started. */
function handOverUnitText({ command, state }: UnitOptions): string {
  return `# Written by kmonte swap.
[Unit]
Description=Gives systemd the units back that kmonte thawed
Documentation=man:kmonte(1)
DefaultDependencies=no
ConditionPathExistsGlob=${unitGlob(UNIT_DIRECTORY)}/*.d/${HAND_OVER_DROP_IN}
After=${THAW_UNIT} multi-user.target
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
Environment=${unitWord(`KMONTE_STATE=${state}`)}
ExecStart=${unitWord(command)} hand-over
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=600

[Install]
WantedBy=multi-user.target
`;
}

/** The unit that ends when all is thawed; the one that thaws is ready, for systemd, when the network is still to come. */
export function thawedUnitText(): string {
  return `# Written by kmonte swap.
[Unit]
Description=Waits until kmonte has thawed all that it thaws
Documentation=man:kmonte(1)
DefaultDependencies=no
After=${THAW_UNIT}
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'while systemctl --quiet is-active ${THAW_UNIT}; do sleep 0.2; done'
TimeoutStartSec=infinity
`;
}

/** The unit that asks the health command, when all else has been started. */
export function healthUnitText({ command, root, state }: UnitOptions): string {
  return `# Written by kmonte swap.
[Unit]
Description=Asks whether what kmonte brought across is in order
Documentation=man:kmonte(1)
DefaultDependencies=no
ConditionPathExistsGlob=${unitGlob(root)}/*/${PENDING_MARK}
OnFailure=${BACK_UNIT}
After=${THAW_UNIT} ${HAND_OVER_UNIT} multi-user.target
Before=shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
Environment=${unitWord(`KMONTE_STATE=${state}`)}
ExecStart=${unitWord(command)} back --unless-healthy
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
`;
}

/** The unit that sends the result to whom an unattended swap is to tell of it, when all has been started and asked. */
function resultUnitText({ command, root, state }: UnitOptions): string {
  return `# Written by kmonte swap.
[Unit]
Description=Sends the result of the change of kernel by mail
Documentation=man:kmonte-report(1)
ConditionPathExistsGlob=${unitGlob(root)}/*/${MAIL_MARK}
After=${THAW_UNIT} ${HAND_OVER_UNIT} ${HEALTH_UNIT} multi-user.target

[Service]
Type=oneshot
Environment=${unitWord(`KMONTE_STATE=${state}`)}
ExecStart=${unitWord(command)} report --mail
TimeoutStartSec=300

[Install]
WantedBy=multi-user.target
`;
}

/** The unit for all that fails outside of kmonte's own hands. If it fails itself, the firmware is what is left. */
export function backUnitText({ command, state }: UnitOptions): string {
  return `# Written by kmonte swap.
[Unit]
Description=Returns to the kernel that the processes came from
Documentation=man:kmonte(1)
DefaultDependencies=no
ConditionKernelCommandLine=${SWAP_PARAMETER}
FailureAction=reboot-force

[Service]
Type=oneshot
Environment=${unitWord(`KMONTE_STATE=${state}`)}
ExecStart=${unitWord(command)} back --unfinished
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=120
`;
}

/** Writes and enables the units, so that the next boot has them. Does nothing when they are there already. */
export function installUnits(root: string): void {
  requireSystemdAtBoot();
  for (const [path, purpose] of [
    [ownCommand(), "the program that thaws at boot"],
    [root, "the place of the images"],
  ] as const)
    requireUnitPath(path, purpose);
  requireLasting(ownCommand(), "the program that thaws at boot");
  const keys = resolve(keyDirectory());
  requireUnitPath(keys, "the place of the keys");
  // The first image of all would make it, too late to be looked at.
  machineKey(keys);
  requireLasting(keys, "the keys that the images are checked with at boot");
  const state = resolve(stateDirectory());
  mkdirSync(state, { recursive: true, mode: 0o700 });
  requireLasting(state, "what kmonte must remember");
  const options = { command: ownCommand(), root, keys, state, otherDisks: hasOtherDisks(presentMounts()) };
  writeUnit(BACK_UNIT, backUnitText(options));
  writeUnit(USER_UNIT, userUnitText());
  writeUnit(THAWED_UNIT, thawedUnitText());
  writeUnit(THAW_UNIT, unitText(options), "sysinit.target");
  writeUnit(HAND_OVER_UNIT, handOverUnitText(options), "multi-user.target");
  writeUnit(HEALTH_UNIT, healthUnitText(options), "multi-user.target");
  writeUnit(RESULT_UNIT, resultUnitText(options), "multi-user.target");
}

/** Throws a {@link Refusal} where no unit could thaw at boot. */
export function requireSystemdAtBoot(): void {
  if (isSystemdRunning()) return;
  throw failures.NO_SYSTEMD.boot();
}
