/** `kmonte key new|list|trust|revoke` */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { formatRecipient } from "../../image/encryption/age-keys.ts";
import {
  encryptionKey,
  keyDirectory,
  newEncryptionKey,
  newMachineKey,
  revokedKeys,
  revokeKey,
  trustedKeys,
  trustKey,
} from "../../image/trust/keys.ts";
import { failures } from "../../errors/catalogue.ts";
import { printJson, printLine, printOutcome } from "../output.ts";

interface Options {
  readonly json?: boolean;
}

export function addKey(program: Command): void {
  const key = program
    .command("key")
    .description("the keys that images are signed with and that are trusted here")
    .addHelpText(
      "after",
      `
Every image is signed as it is written, and only images signed by a key that is trusted here are thawed. This machine's
own key is made at the first freeze. Keys and signatures are in minisign's format:
  minisign -V -p /etc/kmonte/machine.pub -m IMAGE/manifest.json`,
    );
  key
    .command("list")
    .description("show the keys that are trusted here, and those that were")
    .option("--json", "print the result as JSON")
    .action((options: Options) => {
      const keys = trustedKeys().map(({ id, own, path }) => ({ id, own, path }));
      const revoked = revokedKeys().map(({ id, path }) => ({ id, path }));
      const identity = encryptionKey();
      const encryption = identity && formatRecipient(identity.recipient);
      if (options.json) printJson<"key list">({ directory: keyDirectory(), keys, revoked, encryption });
      else if (keys.length === 0) printLine(`No keys in ${keyDirectory()}; one is made at the first freeze.`);
      else for (const { id, own, path } of keys) printLine(`${id}  ${own ? "signs here" : "trusted"}  ${path}`);
      if (!options.json) for (const { id, path } of revoked) printLine(`${id}  revoked  ${path}`);
      if (!options.json && encryption !== undefined) printLine(`${encryption}  encryption`);
    });
  key
    .command("new")
    .description("make a new key to sign with; images of the old one are still thawed until it is revoked")
    .option("--encryption", "make a key to encrypt to instead, in the format of age")
    .option("--json", "print the result as JSON")
    .action((options: Options & { encryption?: boolean }) => {
      if (options.encryption) {
        const recipient = formatRecipient(newEncryptionKey().recipient);
        printOutcome<"key new --encryption">(
          options.json,
          { recipient, directory: keyDirectory() },
          `Encrypt to it with --encrypt-to ${recipient}.`,
        );
        return;
      }
      const { id } = newMachineKey();
      printOutcome<"key new">(
        options.json,
        { id, directory: keyDirectory() },
        `This machine signs with key ${id} from now on.`,
      );
    });
  key
    .command("trust")
    .description("trust another machine's key")
    .argument("<file>", "its public key: /etc/kmonte/machine.pub there")
    .option("--json", "print the result as JSON")
    .action((file: string, options: Options) => {
      const id = trustKey(readKeyFile(file));
      printOutcome<"key trust">(options.json, { id }, `Images signed by ${id} are thawed here from now on.`);
    });
  key
    .command("revoke")
    .description("stop trusting a key")
    .argument("<id>", "its sixteen digits, as kmonte key list shows them")
    .option("--json", "print the result as JSON")
    .action((id: string, options: Options) => {
      revokeKey(id);
      printOutcome<"key revoke">(options.json, { id }, `Images signed by ${id} are refused here from now on.`);
    });
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw failures.NOT_A_KEY.file({ path, errno: (cause as NodeJS.ErrnoException).code, cause });
  }
}
