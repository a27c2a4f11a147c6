/** What the results of several commands have in common. */
import * as v from "valibot";
import { described } from "../../lib/described.ts";

export const text = (about: string) => described(v.string(), about);
export const texts = (about: string) => described(v.array(v.string()), about);
const whole = v.pipe(v.number(), v.integer());
export const count = (about: string) => described(whole, about);
export const counts = (about: string) => described(v.array(whole), about);
export const flag = (about: string) => described(v.boolean(), about);
/** A time that something takes. */
export const milliseconds = (about: string) => described(v.number(), `${about}, in milliseconds.`);
export const seconds = (about: string) => described(v.number(), `${about}, in seconds.`);
/** A moment of CLOCK_REALTIME. */
export const moment = (about: string) => described(v.number(), `${about}, in milliseconds since the epoch.`);

export const pid = count("Its process id.");
export const command = text("Its name, as in /proc/PID/comm.");
export const notes = texts("What a person should know, though it stopped nothing, in sentences.");

export const steps = described(
  v.array(
    v.object({
      step: text("Its name; docs/json.md lists them."),
      start: moment("When it began"),
      end: moment("When it ended"),
    }),
  ),
  "What was done, one step after the other.",
);
