/**
 * Every number and layout in src/abi against the C compiler and the kernel's headers. What the headers of this Debian
 * are too old for is left out; the test says how much that may be.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

/** Headers that go together in one file. */
const HEADERS = `#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/elf.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_packet.h>
#include <linux/ioprio.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/net_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <asm/termbits.h>
`;

/** What names of a table's entries begin with in C, where the entries have only the rest. */
const PREFIXES: Readonly<Record<string, string>> = {
  "clone CLONE": "CLONE_",
  "fcntl KCMP": "KCMP_",
  "futex FUTEX": "FUTEX_",
  "io-uring IORING_OFF": "IORING_OFF_",
  "keyctl KEYCTL": "KEYCTL_",
  "keyctl KEY_SPEC": "KEY_SPEC_",
  "mount FSCONFIG": "FSCONFIG_",
  "mount MS": "MS_",
  "prctl ARCH": "ARCH_",
  "prctl PR": "PR_",
  "prctl PR_CAP_AMBIENT": "PR_CAP_AMBIENT_",
  "prctl PR_FUTEX_HASH": "PR_FUTEX_HASH_",
  "prctl PR_MCE_KILL": "PR_MCE_KILL_",
  "prctl PR_SPEC": "PR_SPEC_",
  "prctl PR_TIMER_CREATE_RESTORE_IDS": "PR_TIMER_CREATE_RESTORE_IDS_",
  "ptrace NT": "NT_",
  "ptrace PTRACE": "PTRACE_",
  "ptrace PTRACE_EVENT": "PTRACE_EVENT_",
  "ptrace PTRACE_O": "PTRACE_O_",
  "rtnetlink IFLA": "IFLA_",
  "rtnetlink IFLA_INFO": "IFLA_INFO_",
  "rtnetlink NETNSA": "NETNSA_",
  "rtnetlink NLM_F": "NLM_F_",
  "rtnetlink RTM": "RTM_",
  "seccomp SECCOMP_SET_MODE": "SECCOMP_SET_MODE_",
  "sock-diag UNIX_DIAG": "UNIX_DIAG_",
  "syscalls.x86_64 SYS": "__NR_",
  "tty CC": "",
  "wait CLD": "CLD_",
  "wait P": "P_",
};

/** Constants of an enum, which no #ifdef sees: all of these are older than any header here. */
const ENUMS =
  /^(clone CLONE$|fcntl KCMP|mount FSCONFIG|mount MS|keyctl$|rtnetlink (IFLA|NETNSA|RTM)|sock-diag UNIX_DIAG|wait P|wait CLD|bpf BPF|socket (IPPROTO|SOCK|SHUT|MSG)|io-uring IORING_(OP|REGISTER))/;

/** C expressions of what has no name of its own in C. */
const LAYOUTS: Readonly<Record<string, string>> = {
  "aio IO_EVENT_SIZE": "sizeof(struct io_event)",
  "bpf NAME_SIZE": "BPF_OBJ_NAME_LEN",
  "capability CAPABILITY_VERSION": "_LINUX_CAPABILITY_VERSION_3",
  "clone CLONE_ARGS_SIZE": "CLONE_ARGS_SIZE_VER2",
  "epoll EPOLL_EVENT_SIZE": "sizeof(struct epoll_event)",
  "io-uring PARAMS_SIZE": "sizeof(struct io_uring_params)",
  "io-uring SQE.SIZE": "sizeof(struct io_uring_sqe)",
  "io-uring SQE.OPCODE": "offsetof(struct io_uring_sqe, opcode)",
  "io-uring SQE.TIMEOUT_FLAGS": "offsetof(struct io_uring_sqe, timeout_flags)",
  "locks LOCK_EX_NB": "LOCK_EX | LOCK_NB",
  "locks FLOCK_SIZE": "sizeof(struct flock)",
  "message HEADER": "sizeof(struct msghdr)",
  "mount MOUNT_ATTR_SIZE": "sizeof(struct mount_attr)",
  "netlink-diag HEADER": "sizeof(struct nlmsghdr)",
  "packet-socket IFREQ_SIZE": "sizeof(struct ifreq)",
  "packet-socket TPACKET_BLOCK.STATUS": "offsetof(struct tpacket_block_desc, hdr.bh1.block_status)",
  "packet-socket TPACKET_BLOCK.PACKETS": "offsetof(struct tpacket_block_desc, hdr.bh1.num_pkts)",
  "packet-socket TPACKET_BLOCK.SEQUENCE": "offsetof(struct tpacket_block_desc, hdr.bh1.seq_num)",
  "packet-socket TPACKET_BLOCK.HEADER_SIZE": "sizeof(struct tpacket_block_desc)",
  "packet-socket RING_WORDS": "sizeof(struct tpacket_req3) / 4",
  "registers.x86_64 USER_REGS_SIZE": "sizeof(struct user_regs_struct)",
  "rtnetlink IFINFO": "sizeof(struct ifinfomsg)",
  "seccomp SOCK_FILTER_SIZE": "sizeof(struct sock_filter)",
  "signal SIGINFO_SIZE": "sizeof(siginfo_t)",
  "sigframe.x86_64 UCONTEXT.RAX": "offsetof(ucontext_t, uc_mcontext.gregs[REG_RAX])",
  "sigframe.x86_64 UCONTEXT.RDI": "offsetof(ucontext_t, uc_mcontext.gregs[REG_RDI])",
  "sigframe.x86_64 UCONTEXT.RIP": "offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])",
  "signal SIGEVENT.NOTIFY": "offsetof(struct sigevent, sigev_notify)",
  "signal SIGEVENT.SIGNO": "offsetof(struct sigevent, sigev_signo)",
  "signal SIGEVENT.SIZE": "sizeof(struct sigevent)",
  "signal SIGEVENT.THREAD_ID": "offsetof(struct sigevent, _sigev_un._tid)",
  "sock-diag INET_DIAG_ID_AT": "offsetof(struct inet_diag_msg, id)",
  "sock-diag INET_DIAG_ID_SIZE": "sizeof(struct inet_diag_sockid)",
  "sock-diag INET_DIAG_MSG_SIZE": "sizeof(struct inet_diag_msg)",
  "socket GROUP_FILTER.GROUP": "offsetof(struct group_filter, gf_group)",
  "socket GROUP_FILTER.MODE": "offsetof(struct group_filter, gf_fmode)",
  "socket GROUP_FILTER.SOURCES": "offsetof(struct group_filter, gf_numsrc)",
  "socket GROUP_FILTER.SIZE": "offsetof(struct group_filter, gf_slist)",
  "socket SOCKADDR_STORAGE_SIZE": "sizeof(struct sockaddr_storage)",
  "stat STATX.SIZE": "sizeof(struct statx)",
  "stat STATX.MASK": "offsetof(struct statx, stx_mask)",
  "stat STATX.INO": "offsetof(struct statx, stx_ino)",
  "stat STATX.BTIME": "offsetof(struct statx, stx_btime)",
  "stat STATX.DEV_MAJOR": "offsetof(struct statx, stx_dev_major)",
  "stat STATX.DEV_MINOR": "offsetof(struct statx, stx_dev_minor)",
  "sysv MSG_QBYTES": "offsetof(struct msqid_ds, msg_qbytes)",
  "sysv PERM.UID": "offsetof(struct ipc_perm, uid)",
  "sysv PERM.GID": "offsetof(struct ipc_perm, gid)",
  "sysv PERM.MODE": "offsetof(struct ipc_perm, mode)",
  "sysv SEMBUF_SIZE": "sizeof(struct sembuf)",
  "tcp DIAG_MD5SIG.KEY_LENGTH": "offsetof(struct tcp_diag_md5sig, tcpm_keylen)",
  "tcp DIAG_MD5SIG.ADDRESS": "offsetof(struct tcp_diag_md5sig, tcpm_addr)",
  "tcp DIAG_MD5SIG.KEY": "offsetof(struct tcp_diag_md5sig, tcpm_key)",
  "tcp DIAG_MD5SIG.SIZE": "sizeof(struct tcp_diag_md5sig)",
  "tcp MD5SIG.FLAGS": "offsetof(struct tcp_md5sig, tcpm_flags)",
  "tcp MD5SIG.PREFIX": "offsetof(struct tcp_md5sig, tcpm_prefixlen)",
  "tcp MD5SIG.KEY_LENGTH": "offsetof(struct tcp_md5sig, tcpm_keylen)",
  "tcp MD5SIG.KEY": "offsetof(struct tcp_md5sig, tcpm_key)",
  "tcp MD5SIG.SIZE": "sizeof(struct tcp_md5sig)",
  "tcp TCP_INFO.STATE": "offsetof(struct tcp_info, tcpi_state)",
  "tcp TCP_INFO.OPTIONS": "offsetof(struct tcp_info, tcpi_options)",
  "tcp TCP_INFO.WSCALE": "offsetof(struct tcp_info, tcpi_options) + 1",
  "tcp TCP_INFO.UNACKED": "offsetof(struct tcp_info, tcpi_unacked)",
  "tcp TCP_INFO.SACKED": "offsetof(struct tcp_info, tcpi_sacked)",
  "tcp TCP_INFO.TOTAL_RETRANS": "offsetof(struct tcp_info, tcpi_total_retrans)",
  "tcp TCP_INFO.BYTES_ACKED": "offsetof(struct tcp_info, tcpi_bytes_acked)",
  "tcp TCP_INFO.SEGS_IN": "offsetof(struct tcp_info, tcpi_segs_in)",
  "tcp TCP_INFO.DATA_SEGS_IN": "offsetof(struct tcp_info, tcpi_data_segs_in)",
  "tcp TCP_INFO.BYTES_SENT": "offsetof(struct tcp_info, tcpi_bytes_sent)",
  "tcp TCP_INFO.SIZE": "offsetof(struct tcp_info, tcpi_snd_wnd) + 4",
  "tty TERMIOS2_SIZE": "sizeof(struct termios2)",
  "time ITIMERSPEC_SIZE": "sizeof(struct itimerspec)",
  "tty TERMIOS.IFLAG": "offsetof(struct termios2, c_iflag)",
  "tty TERMIOS.OFLAG": "offsetof(struct termios2, c_oflag)",
  "tty TERMIOS.CFLAG": "offsetof(struct termios2, c_cflag)",
  "tty TERMIOS.LFLAG": "offsetof(struct termios2, c_lflag)",
  "tty TERMIOS.LINE": "offsetof(struct termios2, c_line)",
  "tty TERMIOS.CC": "offsetof(struct termios2, c_cc)",
  "tty WINSIZE_SIZE": "sizeof(struct winsize)",
  "tun FLAGS_AT": "offsetof(struct ifreq, ifr_flags)",
};

/** No numbers of these headers: sizes of ours, masks of several, what the kernel has and the C library hides (O_LARGEFILE). */
const OURS = new Set(
  `bpf INFO_SIZE|task-flags PF|epoll EPOLL_PARAMS_SIZE|errno RESTART|file-flags ALL|io-uring UNREADABLE|keyctl KEY_USER_ALL
keyctl KEY_USER_UNSEARCHABLE|keyctl MOST_BYTES|memory-policy MASK_BITS|message ADDRESS_AT|message CONTROL_AT
message CONTROL_SIZE|message STRUCT_SIZE|namespaces CLONE_OF|namespaces NAMESPACE
fcntl DIRECTORY_PATH|packet-socket ATTRIBUTE|packet-socket MEMBERSHIP_SIZE|packet-socket MESSAGE_SIZE
packet-socket SHOW|packet TCP_FLAG|packet UNREACHABLE|prctl PR_SPEC_CONTROL|prctl PR_SET_MM_MAP
rtnetlink RTGEN|sysv IPC_PERMISSIONS|sysv LARGEST_DS|sysv MOST_SEMAPHORE|tcp LEAVE|tcp QUEUE|tcp OPTION|tcp TCP_STATE
tcp MOST_SEGMENT|tcp TCP_INFO_SIZE|tty NO_CHARACTER|tun NOT_ASKED|mman ADVICE_BY_VMFLAG|mman PAGE_SIZE
mman PM_SCAN_ARG_SIZE|mman PAGE_REGION_SIZE|mman PAGE_IS|aio AIO_RING|aio AIO_RING_MAGIC|signal SIGSET_SIZE|signal NSIG
signal SA|signal KERNEL_SIGACTION_SIZE|registers.x86_64 USER_CS_64|netlink-diag NLM_F_REQUEST_ACK
netlink-diag NLM_F_REQUEST_DUMP|sock-diag UDIAG_SHOW|wait WAIT_CORE_FLAG|xstate.x86_64 XFEATURE_XTILE_DATA|tty CC.COUNT
fcntl OPEN_STATUS|fcntl O.O_LARGEFILE|time NANOSECONDS|wait WAIT.WALL|sysv SEM.GETPID`.split(/[|\n]/),
);

interface Entry {
  readonly name: string;
  readonly value: bigint;
  readonly c: string;
  /** Whether the compiler is asked without #ifdef. */
  readonly sure: boolean;
}

async function entries(): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const file of globSync("src/abi/*.ts", { cwd: ROOT }).sort()) {
    const module = basename(file, ".ts");
    for (const [name, value] of Object.entries((await import(join(ROOT, file))) as Record<string, unknown>)) {
      const table = `${module} ${name}`;
      if (OURS.has(table)) continue;
      const add = (entry: string, c: string, number: unknown): void => {
        if (OURS.has(entry) || (typeof number !== "number" && typeof number !== "bigint")) return;
        const layout = LAYOUTS[entry];
        const sure = layout !== undefined || ENUMS.test(table);
        found.push({ name: entry, value: BigInt(number), c: layout ?? c, sure });
      };
      if (typeof value === "number" || typeof value === "bigint") add(table, name, value);
      else if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map)) {
        const prefix = PREFIXES[table] ?? "";
        for (const [key, number] of Object.entries(value)) add(`${table}.${key}`, prefix + key, number);
      }
    }
  }
  return found;
}

test("numbers and layouts are those of the kernel's headers", async () => {
  const all = await entries();
  const lines = all.map(({ c, sure }, i) => {
    const print = `printf("${i} %lld\\n", (long long)(${c}));`;
    return sure ? print : `#ifdef ${c}\n${print}\n#endif`;
  });
  const folder = mkdtempSync(join(tmpdir(), "kmonte-abi-"));
  try {
    const source = join(folder, "abi.c");
    writeFileSync(source, `${HEADERS}\nint main(void) {\n${lines.join("\n")}\nreturn 0;\n}\n`);
    execFileSync("gcc", ["-w", "-o", join(folder, "abi"), source], { stdio: ["ignore", "inherit", "pipe"] });
    const said = execFileSync(join(folder, "abi"), { encoding: "utf8" }).trim().split("\n");
    const wrong: string[] = [];
    const seen = new Set<number>();
    for (const line of said) {
      const [index = "", number = ""] = line.split(" ");
      const entry = all[Number(index)];
      assert.ok(entry);
      seen.add(Number(index));
      if (BigInt.asUintN(32, BigInt(number)) !== BigInt.asUintN(32, entry.value))
        wrong.push(`${entry.name} is ${entry.value}; ${entry.c} is ${number}`);
    }
    assert.deepEqual(wrong, []);
    const unknown = all.filter((_, i) => !seen.has(i)).map(({ name }) => name);
    assert.ok(seen.size > 800, `${seen.size} were compared`);
    assert.ok(unknown.length < 60, `the headers do not know ${unknown.join(", ")}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
