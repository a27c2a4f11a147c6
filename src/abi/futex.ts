/** futex(2) (include/uapi/linux/futex.h). */

export const FUTEX = { WAIT: 0, WAKE: 1, PRIVATE_FLAG: 128 } as const;
