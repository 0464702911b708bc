// What stops the start: a journal that contradicts itself. Starting over it would hide that.

/** The message names the file, the line and what to do. */
export class JournalCorruptError extends Error {
  override readonly name = 'JournalCorruptError'
  readonly file: string
  /** 1-based */
  readonly line: number
  readonly what: string

  constructor(file: string, line: number, what: string) {
    super(`journal file \`${file}\` line ${line}: ${what}; keep a copy of the journal folder, look with \`sallyport audit verify\`, and let \`sallyport audit repair\` set aside what is damaged (\`--dry-run\` says what that would be)`)
    this.file = file
    this.line = line
    this.what = what
  }
}
