/** Keeps systemd-tmpfiles from emptying /tmp in the boot of a swap: running programs have files there. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const SHIPPED = "/usr/lib/tmpfiles.d/tmp.conf";
const OF_THIS_MACHINE = "/etc/tmpfiles.d/tmp.conf";
/** Takes the place of the shipped file of the same name until the next boot. */
const FOR_THIS_BOOT = "/run/tmpfiles.d/tmp.conf";

/** The same rules without "remove what is in it at boot": `D` becomes `d`, and the aging stays. */
export function withoutBootRemoval(text: string): string {
  return text.replace(/^D(\S*\s)/gm, "d$1").replace(/^[rR](\S*\s)/gm, "#$&");
}

export function keepTmp(): void {
  const source = [OF_THIS_MACHINE, SHIPPED].find((path) => existsSync(path));
  // What /etc says stands above /run: a machine's own rule is its owner's word.
  if (source !== SHIPPED) return;
  mkdirSync(dirname(FOR_THIS_BOOT), { recursive: true });
  writeFileSync(FOR_THIS_BOOT, withoutBootRemoval(readFileSync(source, "utf8")));
}
