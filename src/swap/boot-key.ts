/**
 * The key that opens an encrypted swap at boot, when nobody is there to give one: the machine's own (kmonte key new
 * --encryption). That it will be there is found out before anything is stopped.
 */
import { formatRecipient, parseRecipient } from "../image/encryption/age-keys.ts";
import { encryptionKey, encryptionKeyPath, keyDirectory } from "../image/trust/keys.ts";
import { failures } from "../errors/catalogue.ts";
import { MalformedKey } from "../errors/wrong-input.ts";
import { requireLasting } from "./mounts.ts";

/** Refuses recipients of whom none is the machine itself: what they alone can open would wait for ever. */
export function requireOpenableAtBoot(recipients: readonly string[], directory: string = keyDirectory()): void {
  if (recipients.length === 0) return;
  const own = encryptionKey(directory);
  if (!own) {
    throw failures.SWAP_NOT_OPENABLE.noKey({ directory });
  }
  requireLasting(encryptionKeyPath(directory), "the key that opens the images at boot");
  if (recipients.some((text) => parsed(text)?.equals(own.recipient))) return;
  throw failures.SWAP_NOT_OPENABLE.othersAlone({ recipient: formatRecipient(own.recipient) });
}

/** What is no recipient is refused by the freeze. */
function parsed(text: string): Buffer | undefined {
  try {
    return parseRecipient(text);
  } catch (error) {
    if (error instanceof MalformedKey) return undefined;
    throw error;
  }
}
