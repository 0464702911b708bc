// Well-known places for handing data to strangers, by domain: what a reviewer is told of a host beside its
// name. It warns and decides nothing, and a host that is not here is not good for that. Pure.

export type HostCategory = 'paste_site' | 'tunnel_service' | 'webhook_service' | 'file_drop' | 'url_shortener' | 'dynamic_dns'

/** Each stands for itself and every name below it. */
export const hostCategories: Readonly<Record<HostCategory, readonly string[]>> = {
  paste_site: [
    '0bin.net', 'bpa.st', 'cl1p.net', 'controlc.com', 'dpaste.com', 'dpaste.org', 'gist.github.com', 'gist.githubusercontent.com', 'ghostbin.com', 'hastebin.com', 'ix.io', 'justpaste.it',
    'paste.debian.net', 'paste.ee', 'paste.rs', 'pastebin.com', 'pastebin.pl', 'pastelink.net', 'privatebin.net', 'rentry.co', 'rentry.org', 'snippet.host', 'sprunge.us', 'termbin.com', 'write.as',
  ],
  tunnel_service: [
    'bore.pub', 'devtunnels.ms', 'lhr.life', 'loca.lt', 'localhost.run', 'localtonet.com', 'localtunnel.me', 'localxpose.io', 'loclx.io', 'ngrok.app', 'ngrok.com', 'ngrok.dev', 'ngrok.io',
    'ngrok-free.app', 'ngrok-free.dev', 'packetriot.net', 'pagekite.me', 'pinggy.io', 'pinggy.link', 'playit.gg', 'serveo.net', 'sharedwithexpose.com', 'trycloudflare.com', 'ts.net', 'tunnelto.dev',
  ],
  webhook_service: [
    'beeceptor.com', 'burpcollaborator.net', 'canarytokens.com', 'dnslog.cn', 'hook.eu1.make.com', 'hook.us1.make.com', 'hookbin.com', 'hookdeck.com', 'hooks.slack.com', 'hooks.zapier.com',
    'interact.sh', 'maker.ifttt.com', 'mockbin.org', 'oast.fun', 'oast.live', 'oast.me', 'oast.online', 'oast.pro', 'oast.site', 'oastify.com', 'pipedream.net', 'postb.in', 'ptsv2.com',
    'putsreq.com', 'requestbin.com', 'requestbin.net', 'requestcatcher.com', 'requestinspector.com', 'smee.io', 'typedwebhook.tools', 'webhook.cool', 'webhook.site', 'webhookrelay.com',
  ],
  file_drop: [
    '0x0.st', 'anonfiles.com', 'bashupload.com', 'catbox.moe', 'file.io', 'fileditch.com', 'filebin.net', 'gofile.io', 'keep.sh', 'mediafire.com', 'mega.nz', 'oshi.at', 'pixeldrain.com', 'qu.ax',
    'sendspace.com', 'smash.com', 'temp.sh', 'tmpfiles.org', 'transfer.sh', 'uguu.se', 'wetransfer.com', 'workupload.com',
  ],
  url_shortener: [
    'adf.ly', 'bit.ly', 'bl.ink', 'buff.ly', 'clck.ru', 'cutt.ly', 'goo.gl', 'is.gd', 'lnkd.in', 'ow.ly', 'rb.gy', 'rebrand.ly', 's.id', 'short.io', 'shorturl.at', 'shrtco.de', 't.co', 't.ly',
    'tiny.cc', 'tinyurl.com', 'v.gd',
  ],
  dynamic_dns: [
    'afraid.org', 'changeip.com', 'ddns.net', 'ddnsfree.com', 'dedyn.io', 'dnsdynamic.org', 'duckdns.org', 'dynalias.com', 'dyndns.org', 'dynu.net', 'dynv6.net', 'freeddns.org', 'freemyip.com',
    'gotdns.com', 'homeip.net', 'hopto.org', 'kozow.com', 'mooo.com', 'myftp.org', 'nip.io', 'no-ip.org', 'now-dns.net', 'selfip.com', 'servebeer.com', 'sslip.io', 'sytes.net', 'xip.io', 'zapto.org',
  ],
}

/** The categories of a canonical name, by itself and its parents; most have none. */
export function categoriesOf(name: string): readonly HostCategory[] {
  const found: HostCategory[] = []
  for (const [category, domains] of entries) {
    if (domains.has(name)) found.push(category)
    else {
      for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
        if (!domains.has(name.slice(dot + 1))) continue
        found.push(category)
        break
      }
    }
  }
  return found
}

const entries: readonly (readonly [HostCategory, ReadonlySet<string>])[] = [
  ['paste_site', new Set(hostCategories.paste_site)],
  ['tunnel_service', new Set(hostCategories.tunnel_service)],
  ['webhook_service', new Set(hostCategories.webhook_service)],
  ['file_drop', new Set(hostCategories.file_drop)],
  ['url_shortener', new Set(hostCategories.url_shortener)],
  ['dynamic_dns', new Set(hostCategories.dynamic_dns)],
]
