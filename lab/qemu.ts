/** The virtual machine's process: its arguments, its console, its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { KmonteError } from "../src/errors/failure.ts";
import type { Accelerator } from "./accelerator.ts";
import { atEnd } from "./lifetime.ts";
import type { Wire } from "./wire.ts";

export interface QemuOptions {
  readonly accelerator: Accelerator;
  readonly memory: string;
  readonly vmlinuz: string;
  readonly initrd: string;
  readonly commandLine: string;
  /** Root disk (a qcow2 overlay) and the disk with kmonte (raw, read only). */
  readonly rootDisk: string;
  readonly kmonteDisk: string;
  /** The guest's network. */
  readonly wire: Wire;
  /** Where the control port's socket is made, and where the serial console goes. */
  readonly controlSocket: string;
  readonly consoleLog: string;
}

/**
 * The size of the cache of translated code is a compromise: the next kernel overwrites the code of the last one, and
 * getting rid of each stale translation is slow (at 512 MiB a kernel takes twice as long to boot after a kexec than at
 * 64); but Node fills a cache of 64 MiB faster than it can be used.
 */
const ACCELERATOR: Record<Accelerator, readonly string[]> = {
  kvm: ["-accel", "kvm", "-cpu", "host"],
  tcg: ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max"],
};

export class Qemu implements Disposable {
  readonly #child: ChildProcess;
  readonly #ending: Disposable;
  readonly #consoleLog: string;
  readonly #errors: string;

  constructor(options: QemuOptions) {
    this.#consoleLog = options.consoleLog;
    this.#errors = `${options.consoleLog}.qemu`;
    const errors = openSync(this.#errors, "w");
    const [command, args] = options.wire.inside("qemu-system-x86_64", ...qemuArguments(options));
    this.#child = spawn(command, args, { stdio: ["ignore", errors, errors] });
    closeSync(errors);
    this.#child.on("error", () => {});
    this.#ending = atEnd(() => this.#child.kill("SIGKILL"));
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What the guest wrote on its serial console so far. */
  console(): string {
    return readFileSync(this.#consoleLog, { encoding: "utf8", flag: "a+" });
  }

  /** A failure of the machine, with the end of what its console said. */
  failure(code: string, what: string, remedy: string): KmonteError {
    const said = this.console().trim().split(/\r?\n/).slice(-15).join("\n");
    const errors = readFileSync(this.#errors, "utf8").trim();
    const state = this.running ? "It still runs" : `QEMU ended (${this.#child.exitCode ?? this.#child.signalCode})`;
    return new KmonteError(code, { what, why: `${state}; the end of its console:\n${said}\n${errors}`, remedy });
  }

  [Symbol.dispose](): void {
    this.#ending[Symbol.dispose]();
  }
}

function qemuArguments(options: QemuOptions): string[] {
  const groups = [
    ["-M", "pc", "-smp", "1", "-m", options.memory],
    ["-display", "none", "-nodefaults", "-no-user-config", ...options.wire.arguments],
    ["-kernel", options.vmlinuz, "-initrd", options.initrd, "-append", options.commandLine],
    ["-drive", `file=${options.rootDisk},if=virtio,format=qcow2,cache=unsafe`],
    ["-drive", `file=${options.kmonteDisk},if=virtio,format=raw,readonly=on`],
    ["-device", "virtio-rng-pci"],
    // What hangs is started anew, as by the watchdog of a real board.
    ["-device", "i6300esb", "-action", "watchdog=reset"],
    ["-chardev", `file,id=console,path=${options.consoleLog}`, "-serial", "chardev:console"],
    ["-device", "virtio-serial-pci"],
    ["-chardev", `socket,id=control,path=${options.controlSocket},server=on,wait=off`],
    ["-device", "virtserialport,chardev=control,name=kmonte.lab"],
  ];
  return [...ACCELERATOR[options.accelerator], ...groups.flat()];
}
