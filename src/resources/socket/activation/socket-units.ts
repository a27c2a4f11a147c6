/** The socket units that systemd has (systemd.socket(5)), and what they listen at. */
import { KmonteError } from "../../../errors/failure.ts";
import { startUnit, systemctl } from "../../../lib/systemctl.ts";

export interface SocketUnit {
  readonly name: string;
  /** What it is told to listen at: the address as systemd writes it, and the kind, such as Stream. */
  readonly listens: readonly { readonly address: string; readonly kind: string }[];
  /** The service that is started when somebody comes. */
  readonly service: string;
  /** Whether it is set up to be listening now. */
  readonly active: boolean;
  /** Whether each connection gets a service of its own (Accept=). */
  readonly accept: boolean;
  readonly loadState: string;
  /** Where its file is. */
  readonly path: string;
  /** Whether it listens at addresses that no device has yet (FreeBind=). */
  readonly freeBind: boolean;
  /** What it waits for. */
  readonly after: readonly string[];
  /** Whether its file has changed since systemd read it. */
  readonly outdated: boolean;
}

const PROPERTIES = "Id,Listen,Triggers,ActiveState,Accept,LoadState,FragmentPath,FreeBind,After,NeedDaemonReload";

/** Those that are loaded; `names` are names or patterns of names. Throws when systemd does not answer. */
export function socketUnits(names: readonly string[] = ["*.socket"]): SocketUnit[] {
  return parseSocketUnits(systemctl(["show", `--property=${PROPERTIES}`, "--", ...names]));
}

/** Parses the output of systemctl show: an empty line between units, a line for each address. */
export function parseSocketUnits(text: string): SocketUnit[] {
  const blocks = text.split("\n\n").filter((block) => block.trim() !== "");
  return blocks.map((block) => {
    const values = (name: string): string[] =>
      block.split("\n").flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
    const value = (name: string): string => values(name)[0] ?? "";
    return {
      name: value("Id"),
      listens: values("Listen").flatMap((line) => {
        const [, address = "", kind = ""] = /^(.*) \((\w+)\)$/.exec(line) ?? [];
        // The interface of a link-local address stands behind it.
        return kind === "" ? [] : [{ address: address.replace(/^(\[.*\]:\d+)%.*$/, "$1"), kind }];
      }),
      service: value("Triggers").split(" ")[0] ?? "",
      active: value("ActiveState") === "active",
      accept: value("Accept") === "yes",
      loadState: value("LoadState"),
      path: value("FragmentPath"),
      freeBind: value("FreeBind") === "yes",
      after: value("After").split(" "),
      outdated: value("NeedDaemonReload") === "yes",
    };
  });
}

/** Why systemd, which has a socket open, may not have such a one after a boot, and what can be done. */
export interface NotAgain {
  readonly why: string;
  readonly remedy: string;
}

/** What of a unit tells that its sockets may not be there after a boot; undefined when they will be. */
export function forgottenBy(unit: SocketUnit, address: string): NotAgain | undefined {
  const { name, path, loadState, outdated } = unit;
  if (path.startsWith("/run/systemd/transient/"))
    return {
      why: `${name} was made for this boot alone (systemd-run(1))`,
      remedy: "Write a unit file for it in /etc/systemd/system.",
    };
  if (loadState !== "loaded")
    return {
      why: `${name} listens, and its file is ${loadState}`,
      remedy: `Put the file of ${name} back (systemctl status ${name}), or unmask it.`,
    };
  if (outdated)
    return {
      why: `the file of ${name} has changed since systemd read it`,
      remedy: `Let systemd read it (systemctl daemon-reload), see that ${name} listens where it did, and try again.`,
    };
  if (!isTooEarly(unit, address)) return undefined;
  return {
    why: `${name} does not wait for the network, and early in a boot no device has the address of ${address}`,
    remedy: `Set FreeBind=yes in ${name} (systemctl edit ${name}), restart it, and try again.`,
  };
}

/** An address of one device, in a boot that has not brought it up when the unit's turn comes. */
function isTooEarly({ freeBind, after }: SocketUnit, address: string): boolean {
  const isOfDevice = /^(\d|\[)/.test(address) && !/^(0\.0\.0\.0|127\.[\d.]+|\[::1?\]):/.test(address);
  return isOfDevice && !freeBind && !after.some((unit) => /^network(-online)?\.target$/.test(unit));
}

/** Has systemd listen for a unit, whatever else it would have waited for; gives what it says when that fails. */
export function startSocketUnit(name: string): string | undefined {
  try {
    startUnit(name);
    return undefined;
  } catch (error) {
    if (error instanceof KmonteError) return error.why ?? error.what;
    throw error;
  }
}
