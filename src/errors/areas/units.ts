/** What systemd has: units that cannot go along, and systemd itself. */
import { failed, refused, type Numbers, type Texts } from "../entry.ts";
import type { FailureText } from "../failure.ts";

/** A unit by its name, and as a person named it. */
type AskedUnit = Texts<"asked" | "name">;

function notAlong(asked: string, why: string, remedy: string): FailureText {
  return { what: `${asked} is not a unit that can be taken along.`, why, remedy };
}

export const units = {
  NO_SYSTEMD: {
    service: refused(({ command }: Texts<"command">) => ({
      what: "There is no systemd here that could keep the service.",
      why: "/run/systemd/system does not exist: another init runs this machine.",
      remedy: `Have that init run ${command} serve as root.`,
    })),
    purpose: refused(({ purpose }: Texts<"purpose">) => ({
      what: `${purpose} needs systemd.`,
      why: "This machine was not booted with it: /run/systemd/system does not exist.",
      remedy: "Name processes by their ids: kmonte check PID, kmonte freeze PID, kmonte swap --pid PID.",
    })),
    boot: refused(() => ({
      what: "This machine cannot bring the processes back after the change of kernel.",
      why: "Its init is not systemd, whose unit would thaw them at boot.",
      remedy: "Freeze (kmonte freeze), change the kernel yourself, then thaw (kmonte thaw).",
    })),
  },
  SYSTEMCTL_FAILED: failed(({ args, why }: Texts<"args" | "why">) => ({
    what: `systemctl ${args} failed.`,
    why,
    remedy: "Look at systemctl status and journalctl -b, and try again.",
  })),
  PATH_NOT_FOR_UNIT: refused(({ shown, purpose, path }: Texts<"shown" | "purpose" | "path">) => ({
    what: `No systemd unit can name ${shown}, ${purpose}.`,
    why: "Quotes, backslashes and control characters are not allowed in the paths of programs there.",
    remedy: "Move it to a path without them.",
    facts: { path },
  })),
  UNIT_BRIDGED: refused(
    ({
      unit,
      pid,
      device,
      bridge,
    }: Texts<"unit" | "device"> & Numbers<"pid"> & { readonly bridge?: string | undefined }) => ({
      what: `${unit} would not have its network again after a boot.`,
      why: `Process ${pid} lives in a network namespace whose device ${device} is in the bridge ${bridge}, which no boot makes before it.`,
      remedy:
        "Let it be started anew (kmonte unprotect), or run the container in the machine's network (podman run --network host).",
      facts: { pid },
    }),
  ),
  DYNAMIC_USER_TAKEN: refused(({ name, id, why }: Texts<"name" | "why"> & Numbers<"id">) => ({
    what: `The user ${name}, which systemd makes up for a unit, cannot have its id ${id} in this boot.`,
    why,
    remedy: `See who has it (getent passwd ${id}; ls /run/systemd/dynamic-uid), give that user another one, and boot again.`,
  })),
  UNIT_CHANGED: failed(({ unit, why }: Texts<"unit" | "why">) => ({
    what: `${unit} is not as it was looked at; everything goes on as before.`,
    why,
    remedy: "Try again when it does not restart or start processes.",
  })),
  CONTAINER_ROOT: failed(({ root, said }: Texts<"root" | "said">) => ({
    what: `The root directory of a container, ${root}, cannot be mounted again.`,
    why: said,
    remedy: "See that this kernel has the module overlay, and that its lower and upper folders are there.",
  })),
  UNIT_TRANSIENT: refused(({ name, path }: Texts<"name" | "path">) => ({
    what: `systemd would not know ${name} after a boot.`,
    why: `It was made for this boot alone (systemd-run(1)): its file is ${path}.`,
    remedy: "Write a unit file for it in /etc/systemd/system, or take its processes along by themselves (--pid).",
    facts: { path },
  })),
  UNIT_NO_MAIN_PROCESS: refused(({ name, mainPid, type }: Texts<"name" | "type"> & Numbers<"mainPid">) => ({
    what: `systemd could not be told which process of ${name} is the main one.`,
    why: mainPid > 0 ? `Process ${mainPid} is not in its control group.` : `It knows none itself (Type=${type}).`,
    remedy:
      "Give the unit a PIDFile=, or Type=simple with a program that stays in the foreground (systemd.service(5)).",
  })),
  UNIT_DESCRIPTOR_STORE: refused(({ name, stored }: Texts<"name"> & Numbers<"stored">) => ({
    what: `${name} has left open files with systemd that would be lost.`,
    why: `systemd keeps ${stored} of its file descriptors (FileDescriptorStoreMax= in systemd.service(5)).`,
    remedy: "Let it be started anew (kmonte unprotect), or set FileDescriptorStoreMax=0 for it and restart it.",
  })),
  UNIT_BUS_NAME: refused(({ name, own }: Texts<"name" | "own">) => ({
    what: `systemd would stop ${name} after a boot.`,
    why: `It is of Type=dbus, and its name ${own} on the system bus ends with the bus; its connection comes back closed.`,
    remedy: "Let it be started anew (kmonte unprotect), or give it Type=notify or Type=exec (systemd.service(5)).",
  })),
  UNITS_NOT_STOPPED: failed(({ verb, why }: Texts<"verb" | "why">) => ({
    what: `systemd could not ${verb} all units; everything that was stopped is started again.`,
    why,
    remedy: "systemctl --failed and journalctl -xe say more.",
  })),
  PROTECT_FILE: refused(({ file, line, pattern }: Texts<"file" | "pattern"> & Numbers<"line">) => ({
    what: `${file} cannot be read.`,
    why: `Line ${line}, ${pattern}, is neither a unit's name nor a pattern of one.`,
    remedy: "Write one name or pattern a line, such as redis-server.service or postgresql@*.service.",
    facts: { path: file },
  })),
  PROTECTED_ELSEWHERE: refused(({ pattern, file }: Texts<"pattern" | "file">) => ({
    what: `${pattern} stays protected.`,
    why: `${file} names it, which kmonte does not change.`,
    remedy: `Take the line out of ${file}.`,
    facts: { path: file },
  })),
  NOT_PROTECTED: refused(
    ({
      pattern,
      wider,
      file,
      directory,
    }: Texts<"pattern" | "directory"> & {
      readonly wider?: string | undefined;
      readonly file?: string | undefined;
    }) => ({
      what: `${pattern} is not protected by its name.`,
      why: wider ? `The pattern ${wider} in ${file} matches it.` : `No file in ${directory} names it.`,
      remedy: wider ? `kmonte unprotect '${wider}'` : "kmonte services --protected shows what is.",
    }),
  ),
  NO_SUCH_UNIT: {
    pattern: refused(({ pattern }: Texts<"pattern">) => ({
      what: `${pattern} is no unit.`,
      why: "Names of units have letters, digits, and : _ . \\ @ - alone.",
      remedy: "systemctl list-units shows those that there are.",
    })),
    unknown: refused(({ asked, name }: AskedUnit) =>
      notAlong(asked, `systemd knows no unit ${name}.`, "systemctl list-units shows those that there are."),
    ),
  },
  SWAP_NOT_GUARDED: failed(() => ({
    what: "Nothing was done; everything goes on as it was.",
    why: "A shell that would take things back, should kmonte be killed, did not start.",
    remedy: "See that /bin/sh starts and that processes can be made (ulimit -u), and try again.",
  })),
  UNIT_TEMPLATE: refused(({ name, pattern }: Texts<"name" | "pattern">) => ({
    what: `${name} is not a unit that can be taken along.`,
    why: "It is a template without an instance.",
    remedy: `Name an instance, or a pattern: '${pattern}'.`,
  })),

  UNIT_MASKED: refused(({ asked, name }: AskedUnit) =>
    notAlong(asked, "It is masked, so that systemd never starts it.", `systemctl unmask ${name}`),
  ),
  UNIT_NOT_LOADED: refused(({ asked, name, loadState }: AskedUnit & Texts<"loadState">) =>
    notAlong(asked, `systemd could not load it (${loadState}).`, `systemctl status ${name} says why.`),
  ),
  UNIT_NOT_RUNNING: refused(
    ({ asked, name, activeState, subState, count }: AskedUnit & Texts<"activeState" | "subState"> & Numbers<"count">) =>
      notAlong(
        asked,
        `It is ${activeState} (${subState}), and has ${count === 0 ? "no process" : "processes"}.`,
        `Start it first (systemctl start ${name}), or leave it out (kmonte unprotect ${name}).`,
      ),
  ),
};
