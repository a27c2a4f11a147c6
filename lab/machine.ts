/**
 * A throw-away virtual machine with an ordinary Debian inside.
 *
 *     await using machine = await Machine.boot({ kernel: '6.1', kernels: ['6.12'] });
 *     await machine.run(['uname', '-r']);
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError } from "../src/errors/failure.ts";
import { ensurePackages } from "../scripts/packages.ts";
import { type Accelerator, chooseAccelerator } from "./accelerator.ts";
import { type Answer, Channel, type Hello, type OutputListener } from "./channel.ts";
import { type GuestSystem, SLIM } from "./base.ts";
import { guestImage, KMONTE_LABEL } from "./guest-image.ts";
import { guestKernel } from "./guest-kernel.ts";
import { ROOT_LABEL } from "./guest-settings.ts";
import { kmonteDebDisk, kmonteDisk } from "./kmonte-disk.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { Qemu } from "./qemu.ts";
import { runTool } from "./tool.ts";
import { openWire, type Wire } from "./wire.ts";

export interface MachineOptions {
  /** The kernel to boot, a key of KERNEL_SUITES. */
  readonly kernel: string;
  /** Further kernels to have in /boot. */
  readonly kernels?: readonly string[];
  /** The slim one, unless another is named. */
  readonly system?: GuestSystem;
  readonly memory?: string;
  /** Ports of the guest that clients outside will connect to. */
  readonly ports?: readonly number[];
  /** Whether kmonte is there as its Debian package rather than as a copy in /opt. */
  readonly packaged?: boolean;
  /** Told what is being made ready, for people. */
  readonly onStep?: (step: string) => void;
}

export const LAB_PACKAGES = ["qemu-system-x86", "qemu-utils", "mmdebstrap", "e2fsprogs", "cpio"];

/** What makes an emulated machine boot surely and quickly; harmless on a real one. */
const BOOT_OPTIONS =
  "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on 8250.nr_uarts=1 noautogroup";

/** Puts kmonte onto the root file system, where a real host has it. */
const COPY = "cp -a /mnt/. /opt/kmonte";
/** The lab's own link to the copy would come first. */
const INSTALL_PACKAGE = "rm /usr/local/bin/kmonte && dpkg --install /mnt/kmonte.deb";

const BOOT_MS = 400_000;

export class Machine implements AsyncDisposable {
  readonly accelerator: Accelerator;
  /** The way to the guest for clients outside of it. */
  readonly wire: Wire;
  readonly #qemu: Qemu;
  readonly #hellos: Hello[] = [];
  #channel: Channel | undefined;
  #lifetime = new DisposableStack();

  private constructor(accelerator: Accelerator, qemu: Qemu, wire: Wire) {
    this.accelerator = accelerator;
    this.wire = wire;
    this.#qemu = qemu;
  }

  static async boot(options: MachineOptions): Promise<Machine> {
    const step = options.onStep ?? (() => {});
    ensurePackages(LAB_PACKAGES);
    step("guest image");
    const system = options.system ?? SLIM;
    const image = await guestImage(system, [options.kernel, ...(options.kernels ?? [])]);
    const kernel = await guestKernel(options.kernel, system);
    step("kmonte");
    const kmonte = await (options.packaged ? kmonteDebDisk() : kmonteDisk());
    step("accelerator");
    const accelerator = await chooseAccelerator(kernel.vmlinuz);
    step("boot");
    using stack = new DisposableStack();
    const directory = stack.use(temporaryDirectory("kmonte-machine-")).path;
    const rootDisk = join(directory, "root.qcow2");
    await runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", image.path, "-F", "raw", rootDisk]);
    const controlSocket = join(directory, "control");
    const wire = stack.use(await openWire(options.ports ?? []));
    const qemu = new Qemu({
      accelerator,
      memory: options.memory ?? "2G",
      vmlinuz: kernel.vmlinuz,
      initrd: kernel.initrd,
      commandLine: `root=LABEL=${ROOT_LABEL} ${system.kind === "slim" ? "rw" : "ro"} ${BOOT_OPTIONS}`,
      rootDisk,
      kmonteDisk: kmonte.path,
      wire,
      controlSocket,
      consoleLog: join(directory, "console.log"),
    });
    const machine = new Machine(accelerator, stack.use(qemu), wire);
    machine.#channel = stack.use(await Channel.open(controlSocket, (hello) => machine.#hellos.push(hello)));
    await machine.#wait(() => machine.#hellos[0], BOOT_MS, `start Linux ${options.kernel}`);
    step("install");
    const install = options.packaged ? INSTALL_PACKAGE : COPY;
    const mount = `mount -o ro /dev/disk/by-label/${KMONTE_LABEL} /mnt`;
    await machine.output(["sh", "-c", `${mount} && ${install} && umount /mnt`]);
    machine.#lifetime = stack.move();
    return machine;
  }

  /** The kernels that the guest ran so far, in order, with the times at which its agent was there. */
  get boots(): readonly Hello[] {
    return this.#hellos;
  }

  /** What the guest wrote on its serial console so far. */
  console(): string {
    return this.#qemu.console();
  }

  /** Runs a program to its end. Rejects with GuestRestarted when the kernel changes under it. */
  run(argv: readonly string[], onOutput?: OutputListener): Promise<Answer> {
    return this.#ask({ do: "run", argv }, onOutput);
  }

  /** Runs a program that must succeed and gives what it wrote. */
  async output(argv: readonly string[]): Promise<string> {
    const answer = await this.run(argv);
    if (answer.code === 0) return answer.stdout.toString();
    throw new KmonteError("LAB_GUEST_COMMAND_FAILED", {
      what: `In the guest, ${argv.join(" ")} failed (${answer.code}).`,
      why: (answer.stderr.toString() || answer.stdout.toString()).trim(),
    });
  }

  /** Starts a program as a child of init, in a session of its own, and gives its pid; output is added to a file. */
  async start(argv: readonly string[], output: string): Promise<number> {
    const { pid } = await this.#ask({ do: "start", argv, output });
    if (pid !== undefined) return pid;
    throw new KmonteError("LAB_NOT_STARTED", { what: `In the guest, ${argv.join(" ")} did not start.` });
  }

  /** Writes a file in the guest. */
  async put(path: string, data: string | Buffer, mode = 0o644): Promise<void> {
    await this.#ask({ do: "put", path, mode, data: Buffer.from(data).toString("base64") });
  }

  /** Reads a file of the guest. */
  async get(path: string): Promise<Buffer> {
    return (await this.#ask({ do: "get", path })).stdout;
  }

  /** Waits for the guest's agent under a kernel started after `earlier` others; checks which kernel it is. */
  async waitForKernel(version: string, earlier: number, timeoutMs = 900_000): Promise<Hello> {
    const hello = await this.#wait(() => this.#hellos[earlier], timeoutMs, `start Linux ${version}`);
    if (hello.release.startsWith(`${version}.`)) return hello;
    const remedy = "The end of the console may say why.";
    throw this.#qemu.failure("LAB_WRONG_KERNEL", `The guest runs ${hello.release}, not ${version}.`, remedy);
  }

  #ask(message: Readonly<Record<string, unknown>>, onOutput?: OutputListener): Promise<Answer> {
    if (!this.#channel) throw new Error("the machine has not booted");
    return this.#channel.request(message, onOutput);
  }

  async #wait<T>(look: () => T | undefined, timeoutMs: number, what: string): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (!this.#qemu.running || Date.now() > end) {
        throw this.#qemu.failure(
          "LAB_MACHINE_FAILED",
          `The virtual machine did not ${what} within ${timeoutMs / 1000} s.`,
          "The end of the console says how far it came; KMONTE_LAB_ACCEL=tcg rules hardware virtualisation out.",
        );
      }
      await delay(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.dispose();
  }
}
