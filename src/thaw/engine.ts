/** Thawing an image: check everything, build under undo, and let all go on together. On one thread, as freezing is. */
import { type Identity, asUser } from "../sys/identity.ts";
import { call } from "../sys/call.ts";
import { PR } from "../abi/prctl.ts";
import { PTRACE_O } from "../abi/ptrace.ts";
import { failures } from "../errors/catalogue.ts";
import { InconsistentImage } from "../errors/wrong-input.ts";
import type { TimedStep } from "../lib/progress.ts";
import type { Watcher } from "../lib/watcher.ts";
import type { AgeIdentity } from "../image/encryption/age-keys.ts";
import { checkOwned } from "../image/user/ownership.ts";
import { openKeys, parseKeys } from "../image/trust/keys.ts";
import { readImage, type Image } from "../image/read.ts";
import { removeContents } from "../image/thawed/remove.ts";
import { markThawed, refuseThawed } from "../image/thawed/mark.ts";
import { Claim, refuseRegistered } from "../image/thawed/register.ts";
import { bytesIn } from "../resources/memory/pages.ts";
import type { ThawThread } from "../resources/thaw-context.ts";
import { processResources, threadResources } from "../resources/registry.ts";
import { CARRIED } from "../resources/volatile/collect.ts";
import { thawEndedLeader } from "../resources/thread/ended-leader.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import { Guardian } from "../tracee/let-go.x86_64.ts";
import { detach, setOptions } from "../tracee/ptrace.ts";
import { beginProcess, buildMemory, buildProcess, buildThreads, enterUserNamespace } from "./fill/build.ts";
import { checkSurroundings } from "./verify/surroundings.ts";
import { Thawing } from "./context.ts";
import { consistently } from "./verify/consistency.ts";
import { ThawedFiles } from "./fill/file-table.ts";
import type { BuiltProcess } from "./fill/process.ts";
import type { ThawRequest } from "../lib/requests.ts";
import { endProcess } from "./tree/clone-process.ts";
import { firstEnded } from "./resume/liveness.ts";
import { adoptIntoShell, handOver, type ShellJob } from "./resume/shell.ts";
import { thawStop } from "./resume/stops.ts";
import { growTree, type Tree } from "./tree/tree.ts";
import { makeZombie } from "./tree/zombies.ts";

export interface ThawJob extends ThawRequest {
  /** The ordinary user who asks: nothing is opened or made that this user could not open or make. */
  readonly user?: Identity | undefined;
}

/** A process that was thawed. */
interface ThawedMember {
  readonly pid: number;
  readonly command: string;
  /** When it went on, in milliseconds since the epoch (CLOCK_REALTIME); those that had ended before do not. */
  readonly runningAt?: number;
}

export interface ThawOutcome {
  readonly processes: ThawedMember[];
  /** Those of them that run: the others had ended before the freeze, and nobody had waited for them. */
  readonly living: readonly number[];
  readonly steps: TimedStep[];
  readonly notes: readonly string[];
  /** The program that has our terminal now, and that is our child. */
  readonly shell?: ShellJob;
}

/** An image that may be used, and when it was looked at. */
export interface Verified {
  readonly image: Image;
  readonly step: TimedStep;
}

/** Checks the image's signature and digests, which nothing but the image is needed for. Whoever calls it disposes of it. */
export function verifyImage(job: ThawJob, watcher: Watcher): Verified {
  const steps: TimedStep[] = [];
  let done = 0;
  const image = timed(steps, watcher, "verify", () =>
    readImage(job.directory, {
      unsigned: job.unsigned === true,
      identities: identitiesOf(job),
      user: job.user,
      onBytes: (bytes, total) =>
        watcher.report({ step: "verify", done: (done = Math.min(done + bytes, total)), total }),
    }),
  );
  return { image, step: steps[0] as TimedStep };
}

function timed<T>(steps: TimedStep[], watcher: Watcher, name: string, action: () => T): T {
  checkAborted(watcher);
  watcher.report({ step: name });
  const start = Date.now();
  try {
    return action();
  } finally {
    steps.push({ step: name, start, end: Date.now() });
  }
}

/** Thaws, and disposes of the image, which may have been verified before. */
export function runThaw(job: ThawJob, watcher: Watcher, verified = verifyImage(job, watcher)): ThawOutcome {
  using read = verified.image;
  const steps = [verified.step];
  const step = <T>(name: string, action: () => T): T => timed(steps, watcher, name, action);
  const adopted = job.shell === true ? adoptIntoShell(read.state) : undefined;
  const image = adopted ? { ...read, state: adopted.state } : read;
  const again = job.again === true;
  const as = <T>(action: () => T): T => consistently(job.directory, () => asUser(job.user, action));
  const asked = { id: image.id, shown: job.directory, user: job.user, again };
  step("check", () => {
    const { user } = job;
    if (user) consistently(job.directory, () => refuseForeign(image, user));
    as(() => {
      if (!again) refuseThawed(image.place, job.directory);
      refuseRegistered(asked);
      checkSurroundings(image, job.otherProcessor === true);
    });
  });
  using context = new Thawing(image);
  let shell: ShellJob | undefined;
  if (adopted) {
    // What is cloned below us stays below us, and we can wait for it as the shell that would have started it.
    call("prctl", "Becoming the parent of the program", PR.SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    context.during("arm", () => (shell = handOver(adopted)));
  }
  const tree = step("build", () => as(() => build(context, image, watcher)));
  let times: ReadonlyMap<number, number> = new Map();
  const release = (): void => {
    const claim = Claim.make(asked);
    // It stays open until then: what fails is taken back when this function has been left.
    context.undo("the entry of a thawed image", () => {
      using entry = claim;
      entry.takeBack();
    });
    // From here on, whenever we are killed, it takes the entry back.
    using guardian = new Guardian(
      [...tree.threads.keys()].map(({ pid }) => pid),
      claim,
    );
    const mark = markThawed(image.place);
    context.undo("the mark of a thawed image", () => mark?.takeBack());
    times = goOn(context, tree, guardian);
    try {
      using entry = claim;
      entry.sync();
      mark?.released();
    } catch (error) {
      // They run: that the mark stays at its first step is no failure of the thaw.
      context.note(`The image could not be marked as thawed: ${String(error)}`);
    }
    if (!mark) context.note("The image could not be marked as thawed; this machine knows that it was, others do not.");
  };
  step("resume", () => as(release));
  const living = image.state.processes.filter(({ body }) => body).map(({ pid }) => pid);
  // Nobody stops what comes now: they run, and that it was not finished must not be told as a failure of the thaw.
  if (job.remove) as(() => context.note(removeRunning(image, living)));
  return {
    processes: image.state.processes.map(({ pid, command }) => {
      const runningAt = times.get(pid);
      return { pid, command, ...(runningAt !== undefined && { runningAt }) };
    }),
    living,
    steps,
    notes: [...tree.notes, ...context.notes],
    ...(shell && { shell }),
  };
}

/** Removes the contents of an image whose processes run, and says what became of it. */
function removeRunning({ place, manifest }: Image, living: readonly number[]): string {
  const ended = firstEnded(living);
  if (ended !== undefined) return `The image was kept: process ${ended} has ended already.`;
  try {
    removeContents(place, manifest);
    return "What the image held has been removed.";
  } catch (error) {
    return `The image could not be removed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Our own key opens images for us only. */
function identitiesOf({ user, identities, keys = [] }: ThawJob): AgeIdentity[] {
  return [...keys.flatMap((text) => parseKeys(text)), ...(user ? [] : openKeys(identities))];
}

function refuseForeign(image: Image, user: Identity): void {
  const refusals = checkOwned(image.state, user);
  if (refusals.length > 1) throw failures.CANNOT_THAW.foreign({ directory: image.directory, refusals });
  if (refusals[0]) throw refusals[0];
}

/** Until all processes go on together, ^C takes everything back. */
function checkAborted(watcher: Watcher): void {
  if (!watcher.aborted()) return;
  throw failures.INTERRUPTED.thaw();
}

interface BuiltTree extends Tree {
  readonly threads: ReadonlyMap<BuiltProcess, Map<number, BuildScope>>;
}

function build(context: Thawing, image: Image, watcher: Watcher): BuiltTree {
  // Before anything is opened.
  if (image.state.objects[CARRIED]) context.object(CARRIED);
  const tree = growTree(context, image.state);
  for (const zombie of tree.zombies) makeZombie(zombie);
  for (const process of tree.processes) context.openFor(process.pid, () => beginProcess(process));
  const files = new ThawedFiles(context, image.state.files);
  files.openAll();
  let done = 0;
  const total = image.state.processes.reduce((sum, { body }) => sum + bytesIn(body?.mappings ?? []), 0);
  for (const process of tree.processes) {
    process.moveChannel();
    if (!process.isBorrowed("memory"))
      context.openFor(process.pid, () =>
        buildMemory(process, tree, (bytes) => {
          watcher.report({ step: "build", detail: process.command, done: (done += bytes), total });
          checkAborted(watcher);
        }),
      );
    checkAborted(watcher);
    files.handOut(process);
    context.openFor(process.pid, () => buildProcess(process));
  }
  files.attach(tree.processes);
  context.run("release");
  for (const process of tree.processes) enterUserNamespace(process);
  const threads = new Map(
    tree.processes.map((process) => [
      process,
      context.openFor(process.pid, () => buildThreads(process, tree.userNamespaces)),
    ]),
  );
  files.handOutThoseOfThreads(tree.processes);
  files.attachThoseOfThreads(tree.processes);
  for (const process of tree.processes) {
    const { pidNamespace: inside, pidNamespaceForChildren: childrenNamespace } = process.state;
    const namespace = childrenNamespace ?? inside?.namespace;
    tree.pidNamespaces.aim(process.scope, { namespace, owner: process.scope.user }, (fd, use) => process.lend(fd, use));
  }
  return { ...tree, threads };
}

/** The last things, in the order in which they stop being possible; after the last detach all run. Returns when each went on. */
function goOn(context: Thawing, tree: BuiltTree, guardian: Guardian): Map<number, number> {
  // Init takes the roots over while no death signal is set and nobody is stopped: none of them shall hear of it.
  endProcess(tree.root);
  for (const [process, scopes] of tree.threads) thawStop(process, scopes);
  for (const [process, scopes] of tree.threads) endLeader(process, scopes);
  for (const [process, scopes] of tree.threads) {
    if (!process.isBorrowed("files")) process.closeChannel();
    for (const thread of threadsOf(process, scopes)) eachResource(thread, "thaw");
  }
  context.run("arm", "seal");
  for (const [process, scopes] of tree.threads) finish(process, scopes);
  for (const [process, scopes] of tree.threads) {
    if (!process.isBorrowed("memory")) process.scope.leave();
    for (const thread of threadsOf(process, scopes)) eachResource(thread, "setRegisters");
  }
  const sets = [...tree.threads].map(([{ pid }, scopes]): [number, number[]] => [pid, [...scopes.keys()]]);
  return letGo(context, new Map(sets), guardian);
}

/**
 * The point of no return: from here on the processes outlive us. `sets` are the threads of each process; returns when
 * each process went on, in milliseconds since the epoch.
 */
function letGo(
  context: Thawing,
  sets: ReadonlyMap<number, readonly number[]>,
  guardian: Guardian,
): Map<number, number> {
  const all = [...sets.values()];
  // With one thread that dies with us, the whole process does.
  for (const tid of all.flatMap(([, ...others]) => others)) setOptions(tid, PTRACE_O.TRACESYSGOOD);
  guardian.release(all.flatMap(([tid]) => tid ?? []));
  context.commit();
  context.closeKept();
  const times = new Map<number, number>();
  for (const [pid, tids] of sets) {
    for (const tid of tids.toReversed()) detach(tid);
    times.set(pid, Date.now());
  }
  return times;
}

/** Before any child of the process has a death signal: its children go to the next thread (prctl(2), PR_SET_PDEATHSIG). */
function endLeader(process: BuiltProcess, scopes: Map<number, BuildScope>): void {
  const { endedLeader } = process.body;
  if (!endedLeader) return;
  scopes.delete(process.pid);
  const [heir] = scopes.keys();
  if (heir === undefined) throw new InconsistentImage(`process ${process.pid} has no thread`);
  thawEndedLeader(process, endedLeader, heir);
  scopes.set(heir, process.scope);
}

/** What would not live through other calls. */
function finish(process: BuiltProcess, scopes: ReadonlyMap<number, BuildScope>): void {
  for (const thread of threadsOf(process, scopes)) eachResource(thread, "lastCall");
  for (const resource of processResources) {
    if (resource.of && process.isBorrowed(resource.of)) continue;
    resource.lastCall?.(process, process.body.resources[resource.name]);
  }
}

function threadsOf(process: BuiltProcess, scopes: ReadonlyMap<number, BuildScope>): BuiltThread[] {
  return [...scopes].map(([tid, scope]) => ({ process, tid, scope }));
}

interface BuiltThread extends ThawThread {
  readonly process: BuiltProcess;
}

/** One step of all that a thread has, in the order of the registry. */
function eachResource(thread: BuiltThread, step: "thaw" | "lastCall" | "setRegisters"): void {
  const state = thread.process.threadStates.get(thread.tid) ?? {};
  for (const resource of threadResources) resource[step]?.(thread, state[resource.name]);
}
