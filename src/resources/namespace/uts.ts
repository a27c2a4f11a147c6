/** UTS namespaces (uts_namespaces(7)): the host name and the domain name that the processes in it see. */
import * as v from "valibot";
import { readFileSync, writeFileSync } from "../../sys/files.ts";
import { within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ObjectKind } from "../contract.ts";
import { newNamespace, ownerSchema, type NamespaceHandle } from "./handle.ts";

const schema = v.strictObject({
  kind: v.literal("uts-namespace"),
  owner: ownerSchema,
  hostname: v.string(),
  domainname: v.string(),
});
type UtsState = v.InferOutput<typeof schema>;

/** Names as sethostname(2) takes them; the file shows that of the thread that reads it. */
const NAMES = ["hostname", "domainname"] as const;

export function freezeUts(namespace: LocalFd): UtsState {
  return within("uts", namespace, () => {
    const [hostname = "", domainname = ""] = NAMES.map((name) =>
      readFileSync(`/proc/sys/kernel/${name}`, "utf8").replace(/\n$/, ""),
    );
    return { kind: "uts-namespace", hostname, domainname };
  });
}

export const utsNamespace: ObjectKind<UtsState, NamespaceHandle, "uts-namespace"> = {
  name: "uts-namespace",
  hasPath: false,
  schema,
  needs: () => [{ option: "CONFIG_UTS_NS", what: "uts_namespaces(7)" }],
  thaw: (state, context) =>
    newNamespace(context, "uts", state.owner, () => {
      for (const name of NAMES) writeFileSync(`/proc/sys/kernel/${name}`, state[name]);
    }),
};
