/** How many of something each user has. */
export class CountByUser {
  /** Who has had some for longest comes first. */
  readonly #counts = new Map<number, number>();

  of(uid: number): number {
    return this.#counts.get(uid) ?? 0;
  }

  add(uid: number): void {
    this.#counts.set(uid, this.of(uid) + 1);
  }

  remove(uid: number): void {
    const left = this.of(uid) - 1;
    if (left > 0) this.#counts.set(uid, left);
    else this.#counts.delete(uid);
  }

  /** The user who has the most. */
  largest(): number | undefined {
    let largest: number | undefined;
    for (const [uid, count] of this.#counts) if (largest === undefined || count > this.of(largest)) largest = uid;
    return largest;
  }
}
