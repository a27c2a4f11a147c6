/** poll(2) (include/uapi/asm-generic/poll.h). */
export const POLL = { POLLIN: 1, POLLPRI: 2, POLLOUT: 4, POLLERR: 8, POLLHUP: 0x10, POLLRDHUP: 0x2000 } as const;
