/** The rehearsal's machine: QEMU with the target kernel, no network, and the host's files read-only by virtiofs. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { failures } from "../../errors/catalogue.ts";
import { VIEW_TAG } from "./initramfs.ts";

export interface MachineOptions {
  readonly kernel: string;
  readonly initramfs: string;
  /** For sockets and the console. */
  readonly directory: string;
  readonly accelerator: "kvm" | "tcg";
  readonly mebibytes: number;
  readonly seconds: number;
}

/** The same program, at home in two packages, and its options by age. */
const SERVERS: readonly (readonly [path: string, options: string])[] = [
  ["/usr/libexec/virtiofsd", "--shared-dir $1 --sandbox chroot"],
  ["/usr/lib/qemu/virtiofsd", "-o source=$1 -o sandbox=chroot -o cache=auto"],
];

/** A view of all file systems in a mount namespace of its own, in which every mount is read-only. */
const SERVE = `
mount --make-rprivate / && mount --rbind / "$1" || exit 1
cut -d' ' -f5 /proc/self/mountinfo | while read -r point; do
  case "$point" in "$1"|"$1"/*) mount -o remount,bind,ro "$point" 2>/dev/null ;; esac
done
exec `;

const BOOT_OPTIONS = "console=ttyS0 quiet panic=-1 random.trust_cpu=on";
/** What makes an emulated machine boot surely; harmless elsewhere. */
const EMULATED = "nokaslr tsc=reliable no_timer_check mitigations=off";

/** Runs the machine to its end and gives what it wrote on its console. */
export async function runMachine(options: MachineOptions, signal?: AbortSignal): Promise<string> {
  const socket = join(options.directory, "view.socket");
  const console = join(options.directory, "console");
  const children: ChildProcess[] = [];
  const start = (command: string, args: readonly string[]): ChildProcess => {
    // Should we be killed, neither a machine nor a view of all files is to stay.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    return child;
  };
  signal?.throwIfAborted();
  try {
    const server = start("unshare", [
      "--mount",
      "sh",
      "-c",
      serveCommand(socket),
      "sh",
      join(options.directory, "view"),
    ]);
    await waitForSocket(socket, server);
    const qemu = start("qemu-system-x86_64", qemuArguments(options, socket, console));
    let errors = "";
    qemu.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const ended = new Promise<"ended">((resolve) => qemu.once("close", () => resolve("ended")));
    const late = delay(options.seconds * 1000, "late" as const, { ref: false });
    const aborted = new Promise<"aborted">((resolve) => signal?.addEventListener("abort", () => resolve("aborted")));
    const how = await Promise.race([ended, late, aborted]);
    signal?.throwIfAborted();
    const said = existsSync(console) ? readFileSync(console, "utf8") : "";
    return how === "late" ? `${said}\n(it did not come to its end within ${options.seconds} s)` : said + errors;
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

function serveCommand(socket: string): string {
  const [path, options] = SERVERS.find(([candidate]) => existsSync(candidate)) ?? [];
  if (path) return `${SERVE}${path} --socket-path=${socket} ${options}`;
  throw failures.REHEARSAL_TOOL_MISSING.virtiofsd();
}

async function waitForSocket(socket: string, server: ChildProcess): Promise<void> {
  let said = "";
  server.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  for (const end = Date.now() + 20_000; Date.now() < end; await delay(20)) {
    if (existsSync(socket)) return;
    if (server.exitCode !== null) break;
  }
  throw failures.REHEARSAL_VIEW({ why: said.trim() });
}

function qemuArguments(options: MachineOptions, socket: string, console: string): string[] {
  const isEmulated = options.accelerator === "tcg";
  const memory = `memory-backend-memfd,id=memory,size=${options.mebibytes}M,share=on`;
  const groups = [
    isEmulated ? ["-accel", "tcg,thread=multi", "-cpu", emulatedProcessor()] : ["-accel", "kvm", "-cpu", "host"],
    ["-M", "pc", "-smp", "1", "-m", `${options.mebibytes}M`, "-object", memory, "-numa", "node,memdev=memory"],
    ["-display", "none", "-nodefaults", "-no-user-config", "-nic", "none", "-no-reboot"],
    ["-kernel", options.kernel, "-initrd", options.initramfs],
    ["-append", isEmulated ? `${BOOT_OPTIONS} ${EMULATED}` : BOOT_OPTIONS],
    ["-chardev", `socket,id=view,path=${socket}`, "-device", `vhost-user-fs-pci,chardev=view,tag=${VIEW_TAG}`],
    ["-chardev", `file,id=console,path=${console}`, "-serial", "chardev:console"],
  ];
  return groups.flat();
}

/** All that can be emulated, but for what would make the vector state another size than here. */
function emulatedProcessor(): string {
  const here = new Set(/^flags\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "));
  return here.has("pku") ? "max" : "max,-pku";
}
