// GET / on the proxy listener: what this is, for somebody who pointed a browser or curl at it.
export function aboutPage(proxyUrl: string): string {
  return `sallyport: the guarded way out for software agents.

This is a forward proxy that enforces network policy. Use it by setting

  HTTPS_PROXY=${proxyUrl}
  HTTP_PROXY=${proxyUrl}

or try it once:

  curl -x ${proxyUrl} https://example.com/ -I

What it refuses is refused on purpose: the answer says why. On the proxy's machine,
\`sallyport why [HOST]\` shows the last refusals and the rules behind them.
`
}
