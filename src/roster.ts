// A set of objects with many comings and goings: an array in which each member knows its place. Not a Map or
// a Set, because V8 links every hash table that was outgrown to the one after it: once one of them is in the
// old generation, everything that was ever in those after it waits for a full collection.

/** What can be on one roster. */
export interface Member {
  /** its place, kept by the roster; -1 while it is on none */
  place: number
}

export class Roster<T extends Member> {
  readonly #members: T[] = []

  get size(): number {
    return this.#members.length
  }

  add(member: T): void {
    member.place = this.#members.push(member) - 1
  }

  has(member: T): boolean {
    return this.#members[member.place] === member
  }

  /** False when it was not on it. The last member takes its place. */
  remove(member: T): boolean {
    if (!this.has(member)) return false
    const last = this.#members.pop()
    if (last !== undefined && last !== member) {
      this.#members[member.place] = last
      last.place = member.place
    }
    member.place = -1
    return true
  }

  /** The members as they are now. */
  all(): readonly T[] {
    return [...this.#members]
  }
}
