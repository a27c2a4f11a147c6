/** Reading what a person typed. */
import { InvalidArgumentError } from "commander";
import { isSeconds, LONGEST_SECONDS } from "../swap/watchdog.ts";

/** A process id; used with commander, which says where it stood. */
export function parsePid(text: string, before: readonly number[] = []): number[] {
  if (!/^\d{1,7}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError("It must be a process id, a positive number.");
  return [...before, Number(text)];
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A duration such as 90s, 30m, 12h or 7d, in milliseconds. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount === undefined || Number(amount) === 0)
    throw new InvalidArgumentError("It must be a duration such as 90s, 30m, 12h or 7d.");
  return Number(amount) * UNITS[unit as keyof typeof UNITS];
}

/** An option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** A whole number of seconds. */
export function parseSeconds(text: string): number {
  if (!isSeconds(text)) throw new InvalidArgumentError(`It must be a number of seconds from 1 to ${LONGEST_SECONDS}.`);
  return Number(text);
}
