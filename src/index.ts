export { KmonteError, Refusal, RefusalList } from './lib/errors.ts';
export type { ProgressEvent, ProgressListener, TimedStep } from './lib/progress.ts';
