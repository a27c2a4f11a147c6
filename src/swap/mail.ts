/** The result of a swap that nobody watched, sent as a mail when the machine is up again (kmonte-result.service). */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { formatReport, reportOf } from "./report.ts";
import { defaultSwapRoot, readRecords, type SwapRecord } from "./store.ts";

/** While this file is in a swap's directory, whoever it names is to be told how the swap went. */
export const MAIL_MARK = "mail-to";

/** Where every mail transport agent of Debian has its sendmail(1). */
const SENDMAIL = "/usr/sbin/sendmail";
/** It may run while the machine still starts everything else. */
const LONGEST_MS = 180_000;

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Remembers, in the swap's directory, to whom its result is to be sent. */
export function markForMail(directory: string, to: string): void {
  writeFileSync(join(directory, MAIL_MARK), `${to}\n`, { mode: 0o600, flush: true });
}

/** Sends what is still to be sent, each once; gives the addresses. */
export function mailResults(root: string = defaultSwapRoot()): string[] {
  const ids = existsSync(root) ? readdirSync(root).sort() : [];
  const marked = ids.filter((id) => existsSync(join(root, id, MAIL_MARK)));
  return readRecords(root, (id) => marked.includes(id)).map((record) => {
    const mark = join(root, record.id, MAIL_MARK);
    const to = readFileSync(mark, "utf8").trim();
    sendMail({ to, subject: subjectOf(record), text: formatReport(reportOf(record)) });
    rmSync(mark);
    return to;
  });
}

/** In ASCII, as it stands in a header (RFC 5322). */
function subjectOf(record: SwapRecord): string {
  const { from, to, arrived, state, units = [] } = record;
  const { gapSeconds } = reportOf(record);
  const anew = units.filter(({ failure }) => failure !== undefined);
  if (gapSeconds === undefined || state === "failed") return `Linux ${from} to ${to} failed; the images are kept`;
  if (arrived !== undefined && arrived !== to) return `back on Linux ${arrived}: ${to} did not do`;
  const told = anew.length === 0 ? "" : `, ${anew.map(({ name }) => name).join(", ")} started anew`;
  return `Linux ${from} to ${to}, paused for ${Math.round(gapSeconds)} s${told}`;
}

/** Throws when no mail transport agent has taken it. */
export function sendMail({ to, subject, text }: Mail): void {
  const head = [
    `To: ${to}`,
    `Subject: kmonte on ${hostname()}: ${subject}`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit",
  ];
  const run = spawnSync(SENDMAIL, ["-i", "--", to], {
    input: `${head.join("\n")}\n\n${text.trimEnd()}\n`,
    encoding: "utf8",
    timeout: LONGEST_MS,
  });
  if (run.status === 0) return;
  const { error, status, stderr } = run;
  if (error) throw failures.MAIL_NOT_SENT.notStarted({ to, program: SENDMAIL, message: error.message });
  throw failures.MAIL_NOT_SENT.ended({ to, program: SENDMAIL, status, said: stderr.trim() });
}
