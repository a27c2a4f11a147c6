/** Asynchronous I/O: io_setup(2), include/uapi/linux/aio_abi.h, and the ring of fs/aio.c, which no header describes. */

/** Struct aio_ring: id, nr, head, tail, magic, compat_features, incompat_features, header_length; 32 bits each. */
export const AIO_RING = { NR: 4, HEAD: 8, TAIL: 12, MAGIC: 16, SIZE: 32 } as const;
export const IO_EVENT_SIZE = 32;
export const AIO_RING_MAGIC = 0xa10a_10a1;
