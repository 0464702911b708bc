// Files that may not be there: the journal's come and go behind the back of whoever reads them.
import { readdir } from 'node:fs/promises'

/** Whether what was thrown says that there is no such file or folder. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** Names of what a folder holds; a folder that does not exist holds nothing. */
export async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}
