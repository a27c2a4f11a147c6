/** Which faults a step can have: what the kernel may answer there, and what may happen to others meanwhile. */

export type Fault =
  | { readonly kind: "fail"; readonly name: string; readonly nth: number; readonly errno: string }
  | { readonly kind: "kill"; readonly name: string; readonly nth: number; readonly signal: "SIGKILL" | "SIGINT" }
  | { readonly kind: "end"; readonly name: string; readonly nth: number };

/** What inject.ts takes from the environment. */
export function environmentOf(fault: Fault, victim: number): string {
  const value = fault.kind === "fail" ? fault.errno : fault.kind === "kill" ? fault.signal : String(victim);
  return [fault.kind, fault.nth, value, fault.name].join(":");
}

export function describe(fault: Fault): string {
  const what = fault.kind === "fail" ? `fails with ${fault.errno}` : fault.kind === "kill" ? fault.signal : "a death";
  return `${fault.name} #${fault.nth}: ${what}`;
}

/** Calls that cannot fail where we make them: they give back, or only tell. A stopped task loses no ptrace request. */
const CANNOT_FAIL = new Set(
  `close munmap kill tgkill exit exit_group wait4 getpid gettid clock_gettime sched_yield rt_sigprocmask umask lseek
  rt_sigreturn getppid pause alarm nanosleep brk flistxattr fgetxattr`.split(/\s+/),
);

const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  "fs write": ["ENOSPC", "EIO"],
  "fs read": ["EIO"],
  "fs fsync": ["EIO", "ENOSPC"],
  "fs ftruncate": ["ENOSPC"],
  "fs open": ["EMFILE", "EACCES"],
  "fs mkdir": ["ENOSPC"],
  "fs rename": ["EIO"],
  "fs readFile": ["EMFILE", "ESRCH"],
  "fs readdir": ["EMFILE"],
  "fs readlink": ["ENOMEM"],
  "own pwrite64": ["ENOSPC", "EIO"],
  "own pidfd_getfd": ["EMFILE", "EPERM"],
  "own pidfd_open": ["EMFILE"],
  "own kcmp": ["EPERM"],
  "own ioctl": ["EIO"],
  "own fcntl": ["EMFILE"],
  "own socket": ["EMFILE", "EAFNOSUPPORT"],
  "remote clone3": ["EAGAIN", "EEXIST"],
  "remote mmap": ["ENOMEM"],
  "remote pread64": ["EIO"],
  "remote prctl": ["EPERM"],
};

/** The errors with which a step of this name may answer; none when it cannot fail. */
function answersOf(name: string): readonly string[] {
  const [layer = "", call = "", request] = name.split(" ");
  if (call === "ptrace") return request === "SEIZE" ? ["EPERM"] : request === "PEEKSIGINFO" ? ["ENOMEM"] : [];
  if (CANNOT_FAIL.has(call) || call === "rm") return [];
  return ANSWERS[`${layer} ${call}`] ?? ["ENOMEM"];
}

/** Steps as inject.ts listed them, as name and number of times. */
export function tally(steps: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of steps) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** All faults of a run: each step fails with each answer it can give, and each step is the last that is reached. */
export function allFaults(counts: ReadonlyMap<string, number>, kinds: readonly Fault["kind"][]): Fault[] {
  return [...counts].flatMap(([name, count]) =>
    Array.from({ length: count }, (_, i) => faultsAt(name, i + 1, kinds)).flat(),
  );
}

/** A first, a last and a middle step of every name. */
export function someFaults(counts: ReadonlyMap<string, number>, kinds: readonly Fault["kind"][]): Fault[] {
  return [...counts].flatMap(([name, count]) =>
    [...new Set([1, Math.ceil(count / 2), count])].flatMap((nth) => faultsAt(name, nth, kinds)),
  );
}

function faultsAt(name: string, nth: number, kinds: readonly Fault["kind"][]): Fault[] {
  const faults: Fault[] = [];
  if (kinds.includes("fail")) for (const errno of answersOf(name)) faults.push({ kind: "fail", name, nth, errno });
  if (kinds.includes("kill")) faults.push({ kind: "kill", name, nth, signal: "SIGKILL" });
  if (kinds.includes("end")) faults.push({ kind: "end", name, nth });
  return faults;
}

/** A repeatable choice of `count`; all when there are fewer. */
export function choose<T>(all: readonly T[], count: number, seed: number): T[] {
  const left = [...all];
  let state = seed >>> 0 || 1;
  const chosen: T[] = [];
  while (chosen.length < count && left.length > 0) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    chosen.push(left.splice((state >>> 0) % left.length, 1)[0] as T);
  }
  return chosen;
}
