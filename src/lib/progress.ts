/** How the engine tells whoever is watching where it is. */

export interface ProgressEvent {
  /** The step, a stable word: `copy`, `stop`, `look`, `write`, `verify`, `kill`, `check`, `build`, `resume` … */
  readonly step: string;
  /** What is being worked on, for people. */
  readonly detail?: string;
  /** Work done and to do: bytes, unless `counted` says what. */
  readonly done?: number;
  readonly total?: number;
  /** What is counted instead of bytes, such as "units". */
  readonly counted?: string;
  /** CLOCK_REALTIME in milliseconds since the epoch, when the event was made. */
  readonly at: number;
}

export type ProgressListener = (event: ProgressEvent) => void;

/** One finished step with its times, as timelines show them. CLOCK_REALTIME in milliseconds since the epoch. */
export interface TimedStep {
  readonly step: string;
  readonly start: number;
  readonly end: number;
}
