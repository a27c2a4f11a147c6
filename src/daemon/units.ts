/** The systemd units that keep the service there from boot to boot: a socket, and the service that the first request starts. */
import { resolve } from "node:path";
import { keyDirectory } from "../image/trust/keys.ts";
import { failures } from "../errors/catalogue.ts";
import { ownCommand } from "../lib/own-command.ts";
import { hasUnit, isSystemdRunning, removeUnit, requireUnitPath, unitWord, writeUnit } from "../lib/systemd-unit.ts";
import { FOR_OTHERS, requireRoot } from "../lib/require-root.ts";
import { DEFAULT_SOCKET } from "./protocol.ts";
import { reloadUnits } from "../units/others.ts";
import { systemctl } from "../lib/systemctl.ts";

export const SOCKET_UNIT = "kmonte.socket";
export const SERVICE_UNIT = "kmonte.service";

export const SOCKET_TEXT = `[Unit]
Description=Where ordinary users ask for their processes to be frozen and thawed
Documentation=man:kmonte-serve(1)

[Socket]
ListenStream=${DEFAULT_SOCKET}
SocketMode=0666
DirectoryMode=0755

[Install]
WantedBy=sockets.target
`;

/** The service's text: `command` is the path of kmonte, `keys` the directory of its keys. */
export function serviceText(command: string, keys: string): string {
  return `[Unit]
Description=Freezes and thaws processes for ordinary users
Documentation=man:kmonte-serve(1)
Requires=${SOCKET_UNIT}
After=${SOCKET_UNIT}

[Service]
Environment=${unitWord(`KMONTE_KEYS=${keys}`)}
ExecStart=${unitWord(command)} serve
# What has been thawed, and what is being answered, is not to end with the service.
KillMode=process
OOMPolicy=continue
UMask=0077
`;
}

/** Writes both units with the path of this kmonte, and has systemd read them; enabling them is the administrator's. */
export function installDaemon(): void {
  requireRoot("install the service for ordinary users", FOR_OTHERS);
  requireSystemd();
  const keys = resolve(keyDirectory());
  requireUnitPath(ownCommand(), "the program that the service runs");
  requireUnitPath(keys, "the place of the keys");
  const heading = "# Written by kmonte serve --install.\n";
  writeUnit(SERVICE_UNIT, heading + serviceText(ownCommand(), keys));
  writeUnit(SOCKET_UNIT, heading + SOCKET_TEXT);
  reloadUnits();
}

/** Stops the service and removes both units; says whether there were any. What is being answered goes on. */
export function uninstallDaemon(): boolean {
  requireRoot("remove the service for ordinary users", FOR_OTHERS);
  requireSystemd();
  const units = [SOCKET_UNIT, SERVICE_UNIT].filter((name) => hasUnit(name));
  if (units.length > 0) systemctl(["disable", "--now", ...units], undefined);
  for (const name of units) removeUnit(name);
  if (units.length > 0) reloadUnits();
  return units.length > 0;
}

function requireSystemd(): void {
  if (isSystemdRunning()) return;
  throw failures.NO_SYSTEMD.service({ command: ownCommand() });
}
