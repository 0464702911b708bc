// A headless Chromium for the pages' tests, as the system has it. It is started without its sandbox, since
// tests may run as root; it opens nothing but pages of loopback.
import { existsSync, readFileSync } from 'node:fs'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { Scope } from './scope.ts'

const executablePath = '/usr/bin/chromium'
const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** `false`, or why tests that need it are skipped. */
export const browserMissing: string | false = existsSync(executablePath) ? false : 'chromium is not installed'

/** `home`: where it looks for its certificate store and whatever else; default: the user's own. It asks nobody but us:
 * what it would fetch for itself it could wait for where there is no network. */
export async function openBrowser(t: Scope, options: { readonly args?: readonly string[]; readonly home?: string } = {}): Promise<Browser> {
  const { args = [], home } = options
  const env = home === undefined ? process.env : { ...process.env, HOME: home }
  const browser = await chromium.launch({ executablePath, args: [...quiet, ...args], env: env as Record<string, string> })
  t.teardown(() => browser.close())
  return browser
}

/** What a page did that no page may do: violations of its policy, errors, dialogs, requests that leave. */
export function watchFaults(page: Page, url: string): readonly string[] {
  const faults: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('the server responded with a status of')) faults.push(message.text())
  })
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== url) faults.push(`request: ${request.url()}`)
  })
  return faults
}

/** Texts of a page whose contrast is below WCAG 2.2 AA. */
export function lowContrast(page: Page): Promise<readonly string[]> {
  return page.evaluate<string[]>(readFileSync(new URL('./low-contrast.js', import.meta.url), 'utf8'))
}
