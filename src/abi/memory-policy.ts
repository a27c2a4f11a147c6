/** Masks of memory nodes: get_mempolicy(2), mbind(2), include/uapi/linux/mempolicy.h. */

/** Room for the nodes of any kernel (MAX_NUMNODES is 1024 at most). */
export const MASK_BITS = 1024;

/** Asks for the policy of an address instead of the thread's. */
export const MPOL_F_ADDR = 2;

export function nodesOf(mask: Buffer): number[] {
  return Array.from({ length: MASK_BITS }, (_, bit) => bit).filter((bit) => ((mask[bit >> 3] ?? 0) >> (bit & 7)) & 1);
}

export function maskOf(nodes: readonly number[]): Buffer {
  const mask = Buffer.alloc(MASK_BITS / 8);
  for (const node of nodes) mask[node >> 3] = (mask[node >> 3] ?? 0) | (1 << (node & 7));
  return mask;
}
