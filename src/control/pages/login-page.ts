// Signing in with a control token. The token is typed, or comes in the fragment of a link, which no server
// and no log sees; it must never stand in a query.
import type { Assets } from './assets.ts'
import { html } from './html.ts'
import { bareLayout } from './layout.ts'

export interface Login {
  readonly assets: Assets
  readonly nowMs: number
  readonly csrf: string
  /** own path to go on to */
  readonly next: string
  readonly fault: string | undefined
}

export function loginPage({ assets, nowMs, csrf, next, fault }: Login): string {
  return bareLayout({ assets, nowMs }, 'Sign in', html`
  <h1>Sign in</h1>
  ${fault === undefined ? undefined : html`<p class="fault" role="alert">${fault}</p>`}
  <form method="post" action="/login" id="login" class="login">
    <input type="hidden" name="csrf" value="${csrf}">
    <input type="hidden" name="next" value="${next}">
    <label class="field"><span>Control token</span>
      <input type="password" name="token" id="token" autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="256" required autofocus></label>
    <div class="buttons"><button type="submit" class="primary">Sign in</button></div>
  </form>
  <p class="quiet">A token begins with sp_ and names a person and a role. An administrator makes one with <span class="mono">sallyport tokens create</span>. An agent’s session token does not work here.</p>`)
}

/** A page with one sentence, for what cannot be shown. */
export function faultPage({ assets, nowMs }: Pick<Login, 'assets' | 'nowMs'>, title: string, text: string): string {
  return bareLayout({ assets, nowMs }, title, html`
  <h1>${title}</h1>
  <p>${text}</p>
  <p><a href="/">Back to the questions</a></p>`)
}

/**
 * A browser that comes from another site does not send a `SameSite=Strict` cookie, though its owner is
 * signed in. This page goes on to the same address by itself, and then it is sent.
 */
export function arrivalPage({ assets, nowMs }: Pick<Login, 'assets' | 'nowMs'>): string {
  return html`<!doctype html>
<html lang="en" data-now="${nowMs}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0">
<title>sallyport</title>
<link rel="stylesheet" href="/assets/${assets.style}">
</head>
<body><main class="narrow"><p><a href="">Go on</a></p></main></body>
</html>
`.toString()
}
