/** Terminals: ioctl_tty(2) (include/uapi/asm-generic/ioctls.h, termbits.h). */

export const TTY = {
  TCXONC: 0x540a,
  TIOCEXCL: 0x540c,
  TIOCSCTTY: 0x540e,
  TIOCSPGRP: 0x5410,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  TIOCINQ: 0x541b,
  TIOCPKT: 0x5420,
  TIOCGPTPEER: 0x5441,
  TCGETS2: 0x802c_542a,
  TCSETS2: 0x402c_542b,
  TIOCGPTN: 0x8004_5430,
  TIOCSPTLCK: 0x4004_5431,
  TIOCGPKT: 0x8004_5438,
  TIOCGPTLCK: 0x8004_5439,
  TIOCGEXCL: 0x8004_5440,
} as const;

/** Struct termios2. */
export const TERMIOS2_SIZE = 44;
/** Offsets in struct termios2 (asm-generic/termbits.h). */
export const TERMIOS = { IFLAG: 0, OFLAG: 4, CFLAG: 8, LFLAG: 12, LINE: 16, CC: 17 } as const;
export const IFLAG = {
  PARMRK: 0o10,
  INPCK: 0o20,
  ISTRIP: 0o40,
  INLCR: 0o100,
  IGNCR: 0o200,
  ICRNL: 0o400,
  IUCLC: 0o1000,
  IXON: 0o2000,
  IXANY: 0o4000,
} as const;
export const LFLAG = { ICANON: 0o2 } as const;
export const OPOST = 1;
/** Places of control characters, and how many there are. */
export const CC = { VEOF: 4, VTIME: 5, VMIN: 6, VSTOP: 9, VEOL: 11, VEOL2: 16, COUNT: 19 } as const;
/** _POSIX_VDISABLE: no character has the meaning. */
export const NO_CHARACTER = 0;

/** Struct winsize: rows, columns and two sizes in pixels, 16 bits each. */
export const WINSIZE_SIZE = 8;

/** `major:minor` of the multiplexor that makes pseudo-terminals. */
export const PTMX = "5:2";
/** `major:minor` of the name that every process has for its controlling terminal. */
export const DEV_TTY = "5:0";
const UNIX98_PTY_SLAVE_MAJOR = "136";

/** The number of a pseudo-terminal, from the device number of its slave side. */
export function ptyIndex(device: string): number | undefined {
  const [major, minor] = device.split(":");
  return major === UNIX98_PTY_SLAVE_MAJOR ? Number(minor) : undefined;
}

/** `major:minor` of the tty_nr field of /proc/PID/stat. */
export function ttyDevice(ttyNr: number): string {
  return `${(ttyNr >>> 8) & 0xfff}:${(ttyNr & 0xff) | ((ttyNr >>> 12) & 0xfff00)}`;
}
