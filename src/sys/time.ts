/** Clocks and timers (time(7), include/uapi/linux/time.h). */
import { decodeTimespec } from "../abi/time.ts";
import { call, withStruct } from "./call.ts";

/** clock_gettime(2) in this process's time namespace, in nanoseconds. */
export function clockNow(clock: number): bigint {
  return withStruct(16, (bytes, address) => {
    call("clock_gettime", "Reading a clock", clock, address);
    return decodeTimespec(bytes);
  });
}
