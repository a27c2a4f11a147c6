/** Capabilities in the order of their numbers (capabilities(7), include/uapi/linux/capability.h). */
import { CAPABILITIES } from "../abi/capability.ts";

/** The same few sets are met in thread after thread. */
const known = new Map<bigint, readonly string[]>();

/** The names in a 64-bit set, as /proc/PID/status prints it. */
export function capabilityNames(mask: bigint): string[] {
  const names = known.get(mask) ?? namesIn(mask);
  known.set(mask, names);
  return [...names];
}

function namesIn(mask: bigint): readonly string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit += 1) if (mask & (1n << BigInt(bit))) names.push(CAPABILITIES[bit] ?? `CAP_${bit}`);
  return names;
}
