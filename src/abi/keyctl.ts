/** Keys that the kernel keeps: keyctl(2), add_key(2), include/uapi/linux/keyctl.h, and /proc/keys (proc_keys(5)). */

export const KEYCTL = {
  GET_KEYRING_ID: 0,
  JOIN_SESSION_KEYRING: 1,
  CHOWN: 4,
  SETPERM: 5,
  DESCRIBE: 6,
  LINK: 8,
  READ: 11,
} as const;

export const KEY_SPEC = {
  THREAD_KEYRING: -1,
  PROCESS_KEYRING: -2,
  SESSION_KEYRING: -3,
  USER_KEYRING: -4,
  USER_SESSION_KEYRING: -5,
} as const;

/** All rights for whoever holds the key and for its user; … */
export const KEY_USER_ALL = 0x3f3f_0000;
/** … but for its user's right to find it: nobody joins such a keyring by its name. */
export const KEY_USER_UNSEARCHABLE = 0x3f37_0000;

/** A key of type "user" holds no more (add_key(2)). */
export const MOST_BYTES = 32_767;
