// PEM (RFC 7468): bytes to text and back. Pure. Text around the blocks is nobody's business and is dropped.

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY` … */
  readonly label: string
  readonly der: Buffer
}

const block = /-----BEGIN ([A-Z0-9 ]{1,64})-----([^-]*)-----END \1-----/g

/** One block, with its newline. */
export function toPem(label: string, der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  let lines = ''
  for (let at = 0; at < text.length; at += 64) lines += `${text.slice(at, at + 64)}\n`
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`
}

/** Every block of the text, in its order. */
export function pemBlocks(text: string): PemBlock[] {
  return [...text.matchAll(block)].map(([, label = '', body = '']) => ({ label, der: Buffer.from(body, 'base64') }))
}

/** Whether there is a private key in it, encrypted or not. */
export function holdsKey(text: string): boolean {
  return /-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY-----/.test(text)
}
