/**
 * What systemd-logind knows of sessions, in files of /run/systemd that it reads when it is started (its restart is made
 * for that: systemd-logind.service(8)). The FIFO by whose end it learns of a session's end is open in the session.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { orIfGone } from "../lib/no-such-file.ts";
import { systemctl } from "../lib/systemctl.ts";

const RUN = "/run/systemd";
/** Of another boot: which process an id stands for beyond its number, and what logind left with systemd. */
const OF_BOOT = /^LEADER_.*\n/gm;

export interface LoginFile {
  readonly path: string;
  readonly text: string;
}

/** The files of a session, by the name of its scope, and of its user; none for a scope that is no session's. */
export function loginFilesOf(scope: string): LoginFile[] {
  const id = /^session-(\w+)\.scope$/.exec(scope)?.[1];
  if (id === undefined) return [];
  const [session] = read(join(RUN, "sessions", id));
  const user = /^UID=(\d+)$/m.exec(session?.text ?? "")?.[1];
  return session && user !== undefined ? [session, ...read(join(RUN, "users", user))] : [];
}

function read(path: string): LoginFile[] {
  const text = orIfGone(() => readFileSync(path, "utf8"), undefined);
  return text === undefined ? [] : [{ path, text: text.replace(OF_BOOT, "") }];
}

/** Has logind know sessions again whose processes are in their scopes. Does nothing where it does not run. */
export function tellLogind(files: readonly LoginFile[]): void {
  const missing = files.filter(({ path }) => !existsSync(path));
  if (missing.length === 0 || !existsSync(join(RUN, "sessions"))) return;
  for (const { path, text } of missing) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, text, { mode: 0o644 });
  }
  systemctl(["try-restart", "--", "systemd-logind.service"]);
}
