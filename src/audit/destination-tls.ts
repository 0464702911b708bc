// The certificates of a destination, read from their files whenever a connection is about to be made.
import { readFile } from 'node:fs/promises'
import type { DestinationTls } from './destination.ts'

/** Options for node:tls; rejects with the system's error where a file cannot be read. */
export async function readTls({ caFile, certFile, keyFile }: DestinationTls): Promise<{ readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer }> {
  return {
    ...(caFile === undefined ? {} : { ca: await readFile(caFile) }),
    ...(certFile === undefined ? {} : { cert: await readFile(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readFile(keyFile) }),
  }
}
