/**
 * The phases of a thaw between the moment in which everything has been opened and the one in which the processes run,
 * in their order. What a kind has to do in one of them, it says with `ThawContext.during`; within a phase things are
 * done in the order in which they were said.
 */
export const PHASES = [
  /**
   * All files of the set are open, in kmonte; the processes exist and are blank, and none has a descriptor yet. TCP
   * connections are established. What is put into one later like a packet, the kernel acknowledges at once, and only an
   * end that is established can be sent that without a reset in answer.
   */
  "establish",
  /**
   * Every connection stands at both its ends. What stood in queues is put in, while every name that it may be sent to is
   * still there: data of TCP connections and pipes' ends, messages, datagrams, typed characters, objects of System V
   * that processes must have made.
   */
  "fill",
  /**
   * Every queue has been filled. Sockets are connected to where they were, shut down, and lose the names and options
   * that only filling them took. From here on a queue may refuse what is sent to it.
   */
  "connect",
  /** All are connected. Ends that nobody holds are closed: who reads from the other gets all that was sent, then the end. */
  "close",
  /**
   * Each process has its memory, its descriptors, and what belongs to it as a whole; threads still have all rights.
   * What was kept only so that processes could get it is let go: names of removed files, attachments of memory.
   */
  "release",
  /**
   * All threads stand, with their credentials: nothing is opened or made for them any more. What would pass, or would
   * disturb the steps before, begins: timers, watches, leases, limits, times of files, connections that may send again.
   */
  "arm",
  /** What nothing can be changed in afterwards: file systems become read-only. */
  "seal",
] as const;

export type Phase = (typeof PHASES)[number];
