/** What an administrator has set for all swaps of this machine: /etc/kmonte/swap.conf, KEY=VALUE in each line. */
import { existsSync, readFileSync } from "node:fs";
import { failures } from "../errors/catalogue.ts";
import type { Refusal } from "../errors/failure.ts";
import { isSeconds, LONGEST_SECONDS } from "./watchdog.ts";

export const SETTINGS_FILE = "/etc/kmonte/swap.conf";

export interface SwapSettings {
  /** Commands for sh, all of which must succeed on the new kernel. */
  readonly health: readonly string[];
  /** How long they may take together, in seconds. */
  readonly healthSeconds: number | undefined;
  /** How long the new kernel has, in seconds. */
  readonly deadlineSeconds: number | undefined;
  /** Names and patterns of units that are started anew where their thaw fails. */
  readonly tolerate: readonly string[];
  /** Who gets a mail with the result of an unattended swap. */
  readonly mail: string | undefined;
}

const KEYS = ["Health", "HealthTimeout", "Deadline", "Tolerate", "Mail"] as const;
type Key = (typeof KEYS)[number];

/** Nothing is set where there is no such file. Throws a {@link Refusal} for a line that means nothing. */
export function readSettings(file: string = SETTINGS_FILE): SwapSettings {
  return parseSettings(existsSync(file) ? readFileSync(file, "utf8") : "", file);
}

export function parseSettings(text: string, file: string): SwapSettings {
  const values = new Map<Key, string[]>(KEYS.map((key) => [key, []]));
  text.split("\n").forEach((line, i) => {
    if (/^\s*(#|$)/.test(line)) return;
    const [, name = "", value = ""] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    const known = values.get(name as Key);
    if (!known) throw unreadable(file, i, `${JSON.stringify(line.trim())} sets nothing that kmonte knows.`);
    if (value === "") throw unreadable(file, i, `${name}= has no value.`);
    if (/^(HealthTimeout|Deadline)$/.test(name) && !isSeconds(value))
      throw unreadable(file, i, `${name}=${value} is no number of seconds from 1 to ${LONGEST_SECONDS}.`);
    known.push(value);
  });
  const all = (key: Key): readonly string[] => values.get(key) ?? [];
  // As systemd has it: of what can be set once, the last one counts.
  const seconds = (key: Key): number | undefined => {
    const last = all(key).at(-1);
    return last === undefined ? undefined : Number(last);
  };
  return {
    health: all("Health"),
    healthSeconds: seconds("HealthTimeout"),
    deadlineSeconds: seconds("Deadline"),
    tolerate: all("Tolerate"),
    mail: all("Mail").at(-1),
  };
}

/** One command for sh that succeeds when all do; undefined when there are none. */
export function healthCommand(commands: readonly string[]): string | undefined {
  return commands.length <= 1 ? commands[0] : commands.map((command) => `( ${command} )`).join(" && ");
}

function unreadable(file: string, index: number, why: string): Refusal {
  return failures.SWAP_SETTINGS({ file, line: index + 1, why, keys: KEYS.join("=, ") });
}
