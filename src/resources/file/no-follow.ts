/**
 * O_NOFOLLOW (open(2)) stays among a file's flags, and the links of /proc, the one way to what has no name any more,
 * are not followed with it: descriptors with that flag are opened while there still is a name.
 */
import * as v from "valibot";
import { O, OPEN_STATUS } from "../../abi/fcntl.ts";
import type { OwnPath } from "../../sys/mount-view.ts";
import type { FileStat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { refuseOther } from "./reopen.ts";
import { openPath } from "./path-file.ts";

export const noFollow = {
  /** The flags of all its descriptors with O_NOFOLLOW, open file by open file. */
  noFollow: v.optional(v.array(v.string())),
};

export interface NoFollow {
  readonly noFollow?: string[] | undefined;
}

/** What matters when it is opened; the others are set later. */
const AT_OPEN = ~(O.O_APPEND | O.O_NONBLOCK | O.O_ASYNC | O.O_CLOEXEC);

export function freezeNoFollow(context: FreezeContext, { inode, device }: FileStat): NoFollow {
  const flags = context
    .openFiles()
    .filter(([, { stat, info }]) => stat.inode === inode && stat.device === device && (info.flags & O.O_NOFOLLOW) !== 0)
    .map(([, { info }]) => formatFlags(OPEN_STATUS, info.flags & AT_OPEN));
  return flags.length > 0 ? { noFollow: flags } : {};
}

/** Opens them all, at a name that is about to go. */
export class OpenedByName {
  readonly #waiting: { readonly flags: number; readonly fd: LocalFd }[];

  /** `also` are flags that opening needs here; `file` is what must be found there, where something else could be. */
  constructor(state: NoFollow, path: OwnPath, context: ThawContext, also = 0, file?: LocalFd) {
    this.#waiting = (state.noFollow ?? []).map((text) => {
      const flags = parseFlags(OPEN_STATUS, text);
      const fd = context.keep(openPath(path, flags | also));
      if (file !== undefined) refuseOther(path, fd, file);
      return { flags, fd };
    });
  }

  /** One that nobody has taken yet. */
  take(flags: number): LocalFd | undefined {
    const at = this.#waiting.findIndex((one) => ((one.flags ^ flags) & AT_OPEN) === 0);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0]?.fd;
  }
}
