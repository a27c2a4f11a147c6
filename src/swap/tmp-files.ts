/** Keeps systemd-tmpfiles from emptying /tmp in the boot of a swap: running programs have files there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** tmp.conf empties /tmp; systemd-tmp.conf removes the folders of PrivateTmp= (systemd.exec(5)). */
const NAMES = ["tmp.conf", "systemd-tmp.conf"];
const SHIPPED = "/usr/lib/tmpfiles.d";
const OF_THIS_MACHINE = "/etc/tmpfiles.d";
/** Takes the place of shipped files of the same names until the next boot. */
const FOR_THIS_BOOT = "/run/tmpfiles.d";

/** The same rules without "remove what is in it at boot": `D` becomes `d`, and the aging stays. */
export function withoutBootRemoval(text: string): string {
  return text.replace(/^D(\S*\s)/gm, "d$1").replace(/^[rR](\S*\s)/gm, "#$&");
}

export function keepTmp(): void {
  mkdirSync(FOR_THIS_BOOT, { recursive: true });
  for (const name of NAMES) {
    // What /etc says stands above /run: a machine's own rule is its owner's word.
    if (existsSync(join(OF_THIS_MACHINE, name)) || !existsSync(join(SHIPPED, name))) continue;
    writeFileSync(join(FOR_THIS_BOOT, name), withoutBootRemoval(readFileSync(join(SHIPPED, name), "utf8")));
  }
}

/**
 * Folders of PrivateTmp= of earlier boots, which the rules above have spared: what of them the processes use has been
 * made anew under this boot's id.
 */
export function removeOldPrivateTmp(boot: string): void {
  const own = `systemd-private-${boot.replaceAll("-", "")}-`;
  for (const folder of ["/tmp", "/var/tmp"])
    for (const name of readdirSync(folder))
      if (/^systemd-private-[0-9a-f]{32}-/.test(name) && !name.startsWith(own))
        rmSync(join(folder, name), { recursive: true, force: true });
}
