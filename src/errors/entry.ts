/**
 * What a catalogue is made of: an entry says of one text of a code what kind it is, and what is said with which values.
 * A code that is said in several ways has several entries, each with a name.
 */
import {
  Advice,
  type FailureFacts,
  type FailureKind,
  type FailureText,
  KmonteError,
  Refusal,
  RefusalList,
  Warning,
} from "./failure.ts";

/** A process, as texts name it. */
export interface NamedProcess {
  readonly pid: number;
  readonly command: string;
}

/** A file that a process has open, as texts name it. */
export interface NamedFile extends NamedProcess {
  readonly fd: number;
  /** What /proc/PID/fd shows. */
  readonly link: string;
}

/** What is told of one file. */
export interface OfFile {
  readonly file: NamedFile;
}

/** Values that are text already. */
export type Texts<Name extends string> = Readonly<Record<Name, string>>;

export type Numbers<Name extends string> = Readonly<Record<Name, number>>;

export interface Together {
  readonly refusals: readonly Refusal[];
}

interface Telling extends FailureText {
  readonly facts?: FailureFacts;
}

interface Cause {
  readonly cause?: unknown;
}

/** One text of a code: `Values` are what differs each time, `Made` is what is thrown or told. */
export interface Entry<Values, Made> {
  readonly kind: FailureKind | "warning" | "advice";
  readonly transient: boolean;
  readonly tell: (values: Values) => Telling;
  readonly make: (code: string, values: Values & Cause) => Made;
}

type AnyEntry = Entry<never, unknown>;

/** The codes of an area, each with its entry, or with several by name. */
export type Entries = Readonly<Record<string, AnyEntry | Readonly<Record<string, AnyEntry>>>>;

export function refused<V>(tell: (values: V) => Telling): Entry<V, Refusal> {
  return {
    kind: "refused",
    transient: false,
    tell,
    make: (code, values) => {
      const { facts, ...text } = tell(values);
      return new Refusal(code, text, { facts, cause: values.cause });
    },
  };
}

/** A refusal of what passes by itself: looked at again after a moment, it may be gone. */
export function refusedForNow<V>(tell: (values: V) => Telling): Entry<V, Refusal> {
  return {
    kind: "refused",
    transient: true,
    tell,
    make: (code, values) => {
      const { facts, ...text } = tell(values);
      return new Refusal(code, text, { facts, cause: values.cause, transient: true });
    },
  };
}

/** Several refusals at once, which are one of the values. */
export function refusedTogether<V>(tell: (values: V & Together) => FailureText): Entry<V & Together, RefusalList> {
  return {
    kind: "refused",
    transient: false,
    tell,
    make: (code, values) => new RefusalList(code, tell(values), values.refusals),
  };
}

const failure =
  (kind: FailureKind) =>
  <V>(tell: (values: V) => Telling): Entry<V, KmonteError> => ({
    kind,
    transient: false,
    tell,
    make: (code, values) => {
      const { facts, ...text } = tell(values);
      return new KmonteError(code, text, { kind, facts, cause: values.cause });
    },
  });

export const failed = failure("failed");
export const usage = failure("usage");
export const interrupted = failure("interrupted");

/** What is refused in the midst of work, and not while looking. */
export const refusedLate = failure("refused");

export function warning<V>(tell: (values: V) => FailureText): Entry<V, Warning> {
  return { kind: "warning", transient: false, tell, make: (code, values) => new Warning(code, tell(values)) };
}

export function advice<V>(tell: (values: V) => FailureText): Entry<V, Advice> {
  return { kind: "advice", transient: false, tell, make: (code, values) => new Advice(code, tell(values)) };
}

type Maker<E> =
  E extends Entry<infer V, infer Made>
    ? (...values: unknown extends V ? [values?: Cause] : [values: V & Cause]) => Made
    : never;

/** For each code a function that takes the values and gives what is thrown; for a code with several texts one for each. */
export type Makers<T extends Entries> = {
  readonly [Code in keyof T]: T[Code] extends AnyEntry
    ? Maker<T[Code]>
    : { readonly [Name in keyof T[Code]]: Maker<T[Code][Name]> };
};

export function makersOf<T extends Entries>(entries: T): Makers<T> {
  const makers = Object.entries(entries).map(([code, entry]) => {
    if (isEntry(entry)) return [code, makerOf(code, entry)];
    return [code, Object.fromEntries(Object.entries(entry).map(([name, one]) => [name, makerOf(code, one)]))];
  });
  return Object.fromEntries(makers) as Makers<T>;
}

export function isEntry(entry: Entries[string]): entry is AnyEntry {
  return typeof entry["tell"] === "function";
}

function makerOf(code: string, entry: AnyEntry): (values?: Cause) => unknown {
  return (values = {}) => entry.make(code, values as never);
}
