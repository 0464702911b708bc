// Tells keys apart in what a terminal sends. Pasted text is one key of its own, so that no pasted letter is
// ever taken for a command.

export type Key =
  | { readonly kind: 'up' | 'down' | 'page-up' | 'page-down' | 'home' | 'end' | 'enter' | 'escape' | 'backspace' | 'interrupt' | 'redraw' | 'other' }
  | { readonly kind: 'letter'; readonly letter: string }
  | { readonly kind: 'paste'; readonly text: string }

const pasteStart = '\x1b[200~'
const pasteEnd = '\x1b[201~'
/** most of a paste that is kept, and of a sequence that does not end */
const maxPaste = 4096
const maxSequence = 32

// xterm's control sequences (CSI and SS3), as every terminal in use sends them
const sequences: Readonly<Record<string, Exclude<Key['kind'], 'letter' | 'paste'>>> = {
  '[A': 'up', '[B': 'down', '[5~': 'page-up', '[6~': 'page-down', '[H': 'home', '[F': 'end', '[1~': 'home', '[4~': 'end',
  OA: 'up', OB: 'down', OH: 'home', OF: 'end',
}
const controls: Readonly<Record<string, Exclude<Key['kind'], 'letter' | 'paste'>>> = {
  '\r': 'enter', '\n': 'enter', '\x7f': 'backspace', '\b': 'backspace', '\x03': 'interrupt', '\x0c': 'redraw',
}

export class KeyReader {
  #rest = ''
  #paste: string | undefined

  /** Keys of the next piece; the beginning of a sequence is kept for the piece after it. */
  take(text: string): Key[] {
    const keys: Key[] = []
    let left = this.#rest + text
    this.#rest = ''
    while (left !== '') {
      const used = this.#paste === undefined ? this.#one(left, keys) : this.#pasted(left, keys, this.#paste)
      if (used === 0) {
        this.#rest = left
        break
      }
      left = left.slice(used)
    }
    return keys
  }

  /** Whether a sequence has begun; it may have been the Escape key. */
  get isPending(): boolean {
    return this.#rest !== '' && this.#paste === undefined
  }

  /** What has begun is no sequence: Escape, when that is all there is. */
  flush(): Key[] {
    const rest = this.#rest
    this.#rest = ''
    if (rest === '') return []
    return [{ kind: rest === '\x1b' ? 'escape' : 'other' }]
  }

  /** Reads one key; how much of the text it was, 0 when more has to come first. */
  #one(text: string, keys: Key[]): number {
    if (!text.startsWith('\x1b')) {
      const [letter = ''] = text
      const control = controls[letter]
      if (control !== undefined) keys.push({ kind: control })
      else keys.push(/\p{Cc}/u.test(letter) ? { kind: 'other' } : { kind: 'letter', letter })
      return letter.length
    }
    if (text.startsWith(pasteStart)) {
      this.#paste = ''
      return pasteStart.length
    }
    const sequence = /^(?:\[[0-?]*[ -/]*[@-~]|O[@-~])/.exec(text.slice(1))?.[0]
    if (sequence !== undefined) {
      keys.push({ kind: sequences[sequence] ?? 'other' })
      return 1 + sequence.length
    }
    const isUnfinished = /^(?:$|O$|\[[0-?]*[ -/]*$)/.test(text.slice(1))
    if (isUnfinished && text.length < maxSequence) return 0
    keys.push({ kind: 'escape' })
    return 1
  }

  #pasted(text: string, keys: Key[], before: string): number {
    const end = text.indexOf(pasteEnd)
    if (end !== -1) {
      keys.push({ kind: 'paste', text: (before + text.slice(0, end)).slice(0, maxPaste) })
      this.#paste = undefined
      return end + pasteEnd.length
    }
    // the end may stand half in this piece
    const kept = Math.max(0, text.length - pasteEnd.length)
    this.#paste = (before + text.slice(0, kept)).slice(0, maxPaste)
    return kept
  }
}
