/** What a thaw asks of the kernel for a state, and what it does not bring back. */

/** Something that a kernel must have been built with. */
export interface KernelNeed {
  /** As Kconfig names it, CONFIG_…: built in or a module. */
  readonly option: string;
  /** The module's name, where there may be one. */
  readonly module?: string;
  /** What it is for, with the section of the manual. */
  readonly what: string;
}

/** Something that is not as it was after a thaw: no kernel lets anyone set it again, or tells it. */
export interface Difference<S> {
  /** What it is, as an item of a list: without a full stop. */
  readonly what: string;
  /** Whether a thaw of this state meets it; without it, nobody can tell from a state. */
  met?(state: S): boolean;
}
