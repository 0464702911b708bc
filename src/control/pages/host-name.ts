// A host as reviewers see it: the ASCII form, what somebody registered in bold. Where there is no room, the
// left end gives way: `login.bank.com.….evil.test` must never look like a name of bank.com.
import { registrableDomain } from '../../target/registrable-domain.ts'
import { uriHost } from '../../target/host.ts'
import { html, type Html } from './html.ts'

/** Longer names are also written out in full where one is judged. */
const longName = 40

/** One line; what is below the registrable domain is cut on the left by the style sheet, never the domain. */
export function hostName(host: string): Html {
  const domain = registrableDomain(host)
  if (domain === undefined || domain === host || !host.endsWith(`.${domain}`)) {
    return html`<span class="host"><strong class="domain">${uriHost(host)}</strong></span>`
  }
  const below = host.slice(0, -domain.length)
  return html`<span class="host"><span class="below"><bdi dir="ltr">${below}</bdi></span><strong class="domain">${domain}</strong></span>`
}

/** The whole of a long name, over as many lines as it takes; undefined for a short one. */
export function fullName(host: string): Html | undefined {
  if (host.length <= longName) return undefined
  return html`<p class="full-name"><span class="label">Full name, ${host.length} characters</span> <span class="wrap mono">${host}</span></p>`
}

/** Scheme and port, always both: they are half of what is opened. */
export function schemeAndPort({ scheme, port }: { readonly scheme: string; readonly port: number | undefined }): Html {
  const usual = port === (scheme === 'https' ? 443 : 80)
  if (port === undefined) return html`<span class="chip unusual">any port</span>`
  return html`<span class="chip">${scheme}</span> <span class="${usual ? 'chip' : 'chip unusual'}">port ${port}</span>`
}
