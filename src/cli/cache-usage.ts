// What `sallyport cache --help` and its words say.
import { controlOptionsHelp } from './control-options.ts'

const exitCodes = 'exit codes: 0 ok, 1 error, 2 wrong command line\n'
const globHelp = `GLOB is a pattern over whole URLs, quoted for the shell: \`*\` is anything but a slash, \`**\` anything. Without
\`://\` it begins with the host, and a host alone is all of it: docs.example, '*.example', 'docs.example/api/**'.
`

export const cacheUsage = `usage: sallyport cache add URL... [OPTIONS]
       sallyport cache warm FILE|URL [OPTIONS]
       sallyport cache import FILE [OPTIONS]
       sallyport cache export FILE [GLOB] [OPTIONS]
       sallyport cache ls [GLOB...] [OPTIONS]
       sallyport cache show ID|URL [OPTIONS]
       sallyport cache rm ID|URL|GLOB... [OPTIONS]
       sallyport cache stats [OPTIONS]

Where web reading is limited to the cache, agents read these pages and no others. add fetches pages and
what their redirects lead to: through the proxy's own policy, without credentials, and on record. warm
fetches many, import takes them from a WARC archive, export writes one. \`sallyport cache WORD --help\` says
more of each.

  --team NAME        only this team reads them (default: everybody)
  --pin              never evicted
${controlOptionsHelp}
examples:
  sallyport cache add https://docs.example.com/guide
  sallyport cache warm https://docs.example.com/sitemap.xml
  sallyport cache import ~/docs.warc.gz --domains '**.example.com'
  sallyport cache ls docs.example.com

${exitCodes}`

const warm = `usage: sallyport cache warm FILE|URL [OPTIONS]

Fetches many pages into the web cache. FILE has one URL a line, \`#\` begins a comment, \`-\` is stdin. URL is a
sitemap or an index of sitemaps when it ends in .xml or .xml.gz, or with --sitemap; otherwise a page to begin
with. Each page is an exchange of its own that policy decides, as with add. What sitemaps name and redirects
lead to is fetched on the origins that were named, and robots.txt is heeded. Ctrl-C stops it; what was
fetched stays.

  --sitemap          URL is a sitemap, whatever it ends in
  --depth N          follow links of HTML pages on their own site, N deep (default: 0)
  --limit N          pages at most (default: 1000)
  --rate N/s         requests to one host in a second (default: 2/s); a site may ask for fewer
  --other-origins    also what sitemaps and redirects name elsewhere
  --ignore-robots    also what robots.txt asks not to fetch; this is on record
  --team NAME        only this team reads them (default: everybody)
  --pin              never evicted
${controlOptionsHelp}
examples:
  sallyport cache warm https://docs.example.com/sitemap.xml --limit 5000
  sallyport cache warm https://docs.example.com/ --depth 2 --rate 5/s
  sallyport cache warm urls.txt --json | jq -r 'select(.event == "missed") | .url'

exit codes: 0 all was kept, 1 some was not, or an error, 2 wrong command line
`

const importing = `usage: sallyport cache import FILE [OPTIONS]

Imports the pages of a WARC archive, plain or gzip, as browsers, wget and crawlers write it. Only what policy
lets agents read from the cache is imported, each page with the date on which it was captured; an older capture
never takes the place of a newer one. FILE is read by the proxy, on this machine.

  --domains LIST     these hosts only, written as in policy, comma between them; may be given again
  --team NAME        only this team reads them (default: everybody)
  --partition NAME   instead of --team: common, teamless (who has no team) or team:NAME
  --pin              never evicted
  --dry-run          say what would be kept, and keep nothing
${controlOptionsHelp}
examples:
  sallyport cache import docs.warc.gz --domains 'docs.example.com,**.example.org'
  sallyport cache import crawl.warc --dry-run

${exitCodes}`

const exporting = `usage: sallyport cache export FILE [GLOB] [OPTIONS]

Writes pages of the web cache as a WARC archive that \`import\` and other programs read. FILE ends in .warc.gz; it
is written by the proxy, on this machine, and only its user may read it.

${globHelp}
  --team NAME        what this team reads and others do not (default: what everybody reads)
  --partition NAME   common, teamless (who has no team) or team:NAME
  --source WORD      fetched, added, warmed, imported or recorded
  --force            replace FILE if it is there
${controlOptionsHelp}
examples:
  sallyport cache export backup.warc.gz
  sallyport cache export docs.warc.gz 'docs.example.com/guide/**' --force

${exitCodes}`

const listing = `usage: sallyport cache ls [GLOB...] [OPTIONS]

Lists what is in the web cache, newest first: how long ago it was fetched or captured, its size, how it came in,
who reads it.

${globHelp}
  --team NAME        what this team reads and others do not
  --partition NAME   common, teamless (who has no team) or team:NAME
  --source WORD      fetched, added, warmed, imported or recorded
  -n N               at most N entries (default: 100)
${controlOptionsHelp}
examples:
  sallyport cache ls
  sallyport cache ls 'https://docs.example.com/**' -n 1000
  sallyport cache ls '**.pdf' --source warmed --json | jq -r '.items[].url'

${exitCodes}`

const showing = `usage: sallyport cache show ID|URL [OPTIONS]

Shows one entry with its fields, or its content. A URL may have several entries, one for each team and language:
then name one by its id.

  --content          its content to stdout, as it is; on a terminal with control characters escaped
${controlOptionsHelp}
examples:
  sallyport cache show https://docs.example.com/guide
  sallyport cache show 4711 --content > guide.html

${exitCodes}`

const removing = `usage: sallyport cache rm ID|URL|GLOB... [OPTIONS]

Removes entries: agents no longer read them. Pinned ones too. Asks first when there are more than 10.

${globHelp}
  --team NAME        what this team reads and others do not
  --partition NAME   common, teamless (who has no team) or team:NAME
  --source WORD      fetched, added, warmed, imported or recorded
  --yes              do not ask
${controlOptionsHelp}
examples:
  sallyport cache rm https://docs.example.com/guide
  sallyport cache rm 'docs.example.com/v1/**' --yes

${exitCodes}`

const stats = `usage: sallyport cache stats [OPTIONS]

Says how full the web cache is, and of what: by source and by who reads it.

${controlOptionsHelp}
examples:
  sallyport cache stats
  sallyport cache stats --json | jq .body_bytes

${exitCodes}`

export const cacheUsages: Readonly<Record<string, string>> = { warm, import: importing, export: exporting, ls: listing, show: showing, rm: removing, stats }
