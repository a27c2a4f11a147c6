/** Where things of the lab are in the guest. */

/** What serves clients outside of the guest. */
export const PORTS = { redis: 6379, http: 80, https: 443, ssh: 22 } as const;

/** The programs that come from lab/workloads. */
export const PROGRAMS = "/usr/local/lib/lab/workloads";

/** Where they keep their files: on the disk, as /run and /tmp do not outlive a boot. */
export const DATA = "/var/lib/lab";

/** The command that looks at processes and all below them, from outside. */
export const lookAt = (pids: readonly number[]): string[] => [
  "python3",
  "-B",
  `${PROGRAMS}/look.py`,
  ...pids.map(String),
];
