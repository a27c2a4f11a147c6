/** Results of the commands for keys and for the service for ordinary users. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";
import { flag, text, texts } from "./parts.ts";

const id = text("The id of the key: sixteen hexadecimal digits.");
const path = text("The file that it is in.");
const directory = text("Where the keys are.");

export const keyListSchema = v.object({
  directory,
  keys: described(
    v.array(v.object({ id, own: flag("Whether it is the one that this machine signs with."), path })),
    "The keys whose images are thawed here.",
  ),
  revoked: described(v.array(v.object({ id, path })), "The keys that were trusted, and are no more."),
  encryption: v.optional(text("The machine's own key to encrypt to (age1…), if it has one.")),
});

export const keyNewSchema = v.object({ id, directory });
export const keyNewEncryptionSchema = v.object({
  recipient: text("What is given to --encrypt-to (age1…)."),
  directory,
});
export const keySchema = v.object({ id });

export const serveSchema = v.object({ listening: text("The path of the socket that it listens at.") });
export const serveInstallSchema = v.object({ installed: texts("The names of the units that were written.") });
export const serveUninstallSchema = v.object({ removed: flag("Whether there was anything to remove.") });
