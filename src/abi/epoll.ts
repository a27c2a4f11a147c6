/** epoll_ctl(2) and poll(2) (include/uapi/linux/eventpoll.h, asm-generic/poll.h). */
import type { FlagTable } from "../lib/flags.ts";

export const EPOLL = {
  EPOLLIN: 1,
  EPOLLPRI: 2,
  EPOLLOUT: 4,
  EPOLLERR: 8,
  EPOLLHUP: 0x10,
  EPOLLNVAL: 0x20,
  EPOLLRDNORM: 0x40,
  EPOLLRDBAND: 0x80,
  EPOLLWRNORM: 0x100,
  EPOLLWRBAND: 0x200,
  EPOLLMSG: 0x400,
  EPOLLRDHUP: 0x2000,
  EPOLLEXCLUSIVE: 0x1000_0000,
  EPOLLWAKEUP: 0x2000_0000,
  EPOLLONESHOT: 0x4000_0000,
  EPOLLET: 0x8000_0000,
} as const satisfies FlagTable;

/** Struct epoll_params of busy polling; kernels before 6.9 have none. */
export const EPIOCSPARAMS = 0x4008_8a01;
export const EPIOCGPARAMS = 0x8008_8a02;
export const EPOLL_PARAMS_SIZE = 8;

export const EPOLL_CTL_ADD = 1;

/** struct epoll_event is packed on x86-64. */
export const EPOLL_EVENT_SIZE = 12;

export function encodeEpollEvent(events: number, data: bigint): Buffer {
  const bytes = Buffer.alloc(EPOLL_EVENT_SIZE);
  bytes.writeUInt32LE(events >>> 0, 0);
  bytes.writeBigUInt64LE(data, 4);
  return bytes;
}
