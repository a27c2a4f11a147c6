/** What the steps of making the processes of a set have in common. */
import type { FrozenState } from "../../image/schema.ts";
import type { CallArea } from "../../tracee/blank.x86_64.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { Thawing } from "../context.ts";
import { CowSharing } from "../fill/cow-sharing.ts";
import type { FdChannel } from "../fill/fd-channel.ts";
import type { BuiltProcess } from "../fill/process.ts";
import { helperIds } from "./helper-ids.ts";
import { PidNamespaces } from "./pid-namespaces.ts";
import { ThawedUserNamespaces } from "./user-namespaces.ts";

export class TreeBuilder {
  readonly context: Thawing;
  readonly callArea: CallArea;
  readonly channel: FdChannel;
  readonly root: BuildScope;
  readonly pidNamespaces: PidNamespaces;
  readonly userNamespaces: ThawedUserNamespaces;
  readonly cowSharing: CowSharing;
  /** For processes that help for a while. */
  readonly helperIds: Iterator<number, never>;
  readonly built = new Map<number, BuiltProcess>();
  readonly notes: string[] = [];
  /** Processes that lead a session because their own could not be entered. */
  readonly inNewSessions = new Set<number>();

  /** `root` is the blank process that all others descend from. */
  constructor(
    { context, callArea, channel, root }: Pick<TreeBuilder, "context" | "callArea" | "channel" | "root">,
    state: FrozenState,
  ) {
    this.context = context;
    this.callArea = callArea;
    this.channel = channel;
    this.root = root;
    this.pidNamespaces = new PidNamespaces(channel);
    this.cowSharing = new CowSharing(state);
    this.helperIds = helperIds(state.processes);
    this.userNamespaces = new ThawedUserNamespaces(this);
  }
}
