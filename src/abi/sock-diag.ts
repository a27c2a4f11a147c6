/** What sock_diag(7) is asked and answers: include/uapi/linux/{unix_diag,inet_diag}.h. */

export const UNIX_DIAG = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;
export const UDIAG_SHOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10;

export const INET_DIAG_ID_AT = 4;
export const INET_DIAG_ID_SIZE = 48;
export const INET_DIAG_MSG_SIZE = 72;
export const INET_DIAG_SHUTDOWN = 8;
