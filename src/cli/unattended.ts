/** What is done when nobody watches: all that would be said on a terminal goes to the journal, and its sum by mail. */
import { KmonteError, RefusalList } from "../errors/failure.ts";
import { sendMail } from "../swap/mail.ts";
import { describeFailure, printOutcome, tell } from "./output.ts";

/**
 * Runs a swap that a timer has started. That there is no newer kernel is no failure. Any other failure is sent to `mail`,
 * if somebody is named, and thrown; the boot on the other side sends what became of a swap that was begun.
 */
export async function unattended(
  mail: string | undefined,
  json: boolean | undefined,
  swap: () => Promise<void>,
): Promise<void> {
  try {
    await swap();
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    if (error.code === "NO_NEWER_KERNEL") {
      printOutcome<"swap --unattended">(json, { unchanged: error.toJSON() }, `${error.what} ${error.why ?? ""}`);
      return;
    }
    if (mail !== undefined) sendFailure(mail, error);
    throw error;
  }
}

/** What stood in the way is to be told, whatever becomes of the mail. */
function sendFailure(to: string, error: KmonteError): void {
  const all = error instanceof RefusalList ? [error, ...error.refusals] : [error];
  const text = all.flatMap((one) => describeFailure(one, "", "  ")).join("\n");
  try {
    sendMail({ to, subject: `the kernel was not changed (${error.code})`, text });
  } catch (failure) {
    if (!(failure instanceof KmonteError)) throw failure;
    tell(`kmonte: note: ${failure.message}`);
  }
}
