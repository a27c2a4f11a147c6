/** Reading what a person typed. */
import { InvalidArgumentError } from "commander";

/** A process id; used with commander, which says where it stood. */
export function parsePid(text: string, before: readonly number[] = []): number[] {
  if (!/^\d{1,7}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError("It must be a process id, a positive number.");
  return [...before, Number(text)];
}
