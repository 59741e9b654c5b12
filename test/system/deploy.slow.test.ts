import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { BlockList } from 'node:net'
import { access, readFile } from 'node:fs/promises'
import t from 'tap'
import { parse } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }
import { Settings } from '../../src/settings.ts'
import { readSettings } from '../../src/settings/read-settings.ts'
import { imageFaults, manifests, metricNames, namesOf, seconds } from '../support/deployment.ts'
import { needs } from '../support/program.ts'
import { startService } from '../support/support.ts'

const ALERTS = 'deploy/prometheus/alerts.yml'
const ALERT_TESTS = 'deploy/prometheus/alerts.test.yml'
const PROMETHEUS = 'deploy/prometheus/prometheus.yml'
const DASHBOARD = 'deploy/grafana/dashboard.json'
const DATASOURCES = 'deploy/grafana/provisioning/datasources/prometheus.yml'
const DASHBOARDS = 'deploy/grafana/provisioning/dashboards/dashboards.yml'
const CLOSING_MS = 10_000 // main.ts waits this long for closing, beyond DRAIN_MS.

interface Alert { alert: string, expr: string, labels: Record<string, string>, annotations: Record<string, string> }
interface Variable { name: string, value?: string }
interface Port { containerPort: number, name: string }
interface Egress { ports: Array<{ port: number }> }
interface Panel { title: string, targets?: Array<{ expr: string }> }

const text = (path: string) => readFile(path, 'utf8')
const dockerfile = await text('Dockerfile')
const compose = parse(await text('compose.yaml'), { merge: true })
const { Deployment, NetworkPolicy, PodDisruptionBudget, Service } = manifests(await text('deploy/kubernetes.yaml'))
const alerts: Alert[] = parse(await text(ALERTS)).groups.flatMap(({ rules }: { rules: Alert[] }) => rules)
const prometheus = parse(await text(PROMETHEUS))
const dashboard = JSON.parse(await text(DASHBOARD))
const panels: Panel[] = dashboard.panels
const pod = Deployment.spec.template.spec
const [container] = pod.containers

async function run (command: string, args: string[], env: Record<string, string | undefined> = process.env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (chunk) => { said += String(chunk) })
  child.stderr.on('data', (chunk) => { said += String(chunk) })
  const [code] = await once(child, 'close')
  return { code: code as number, said }
}

t.test('the image has Node and the service alone, uses the lockfile, and runs as a numeric user', async (t) => {
  t.same(imageFaults(dockerfile, packageJson.version), [])
})

t.test('the rules for the image find each fault of a changed Dockerfile', async (t) => {
  const changes: Array<[pattern: RegExp | string, replacement: string, fault: string]> = [
    ['FROM scratch', 'FROM node:24', 'the last stage is not empty at its start'],
    ['USER 1000:1000', 'RUN true\nUSER 1000:1000', 'the last stage runs a command'],
    ['RUN npm ci --ignore-scripts', 'RUN node --version', 'the packages are not those of the lockfile'],
    ['package.json package-lock.json', 'package.json', 'the packages are not those of the lockfile'],
    ['RUN node build.mjs', 'RUN npm install esbuild && node build.mjs', 'a build step installs or downloads'],
    ['/runtime/etc /runtime', '/runtime/etc && apt-get update && mkdir /runtime', 'a build step installs or downloads'],
    ['USER 1000:1000', 'USER 0:0', 'the user is not a number above 0'],
    ['USER 1000:1000', 'USER node', 'the user is not a number above 0'],
    ['USER 1000:1000', 'USER 1000:1000\nUSER 0:0', 'the user is not a number above 0'],
    [/^CMD \[.*$/m, 'CMD node dist/main.js', 'a shell receives the signals'],
    ['EXPOSE 3000', 'ENTRYPOINT node', 'a shell receives the signals'],
    [/^ARG VERSION=.*$/m, 'ARG VERSION=0.0.0', 'the version is not that of the package'],
    [/version="[^"]*"/, 'version="1"', 'the version is not that of the package']
  ]
  for (const [pattern, replacement, fault] of changes) {
    const changed = dockerfile.replace(pattern, () => replacement)
    t.not(changed, dockerfile, `${pattern} is there`)
    t.same(imageFaults(changed, packageJson.version), [fault], replacement)
  }
})

t.test('the health check passes only while the service runs', async (t) => {
  const [, found = ''] = /^HEALTHCHECK .* CMD (\[.*\])$/m.exec(dockerfile) ?? []
  const [command = '', ...args] = JSON.parse(found) as string[]
  t.equal(command, 'node')
  const { url, close } = await startService(t)
  const check = () => run(process.execPath, args, { PORT: new URL(url).port })
  t.same(await check(), { code: 0, said: '' })
  await close()
  t.same(await check(), { code: 1, said: '' })
})

t.test('compose confines the service, publishes no metrics, and waits for streams to end', async (t) => {
  const { bff } = compose.services
  t.match(bff, {
    read_only: true,
    pids_limit: 200,
    cap_drop: ['ALL'],
    security_opt: ['no-new-privileges:true'],
    user: '1000:1000'
  })
  t.match(bff.env_file, [{ path: '.env', required: false }], 'without a key it runs on the sandbox')
  t.match(bff.ports, [/^\$\{PUBLISH:-127\.0\.0\.1:3000\}:3000$/])
  t.equal(bff.ports.length, 1)
  t.ok(seconds(bff.stop_grace_period) * 1000 > Settings.properties.DRAIN_MS.default + CLOSING_MS)
  t.same(prometheus.scrape_configs[0].static_configs[0].targets, [`bff:${bff.environment.METRICS_PORT}`])
  for (const name of ['prometheus', 'grafana']) {
    t.match(compose.services[name], { profiles: ['observability'], cap_drop: ['ALL'] })
  }
  const mounted = Object.values<{ volumes?: string[] }>(compose.services).flatMap(({ volumes = [] }) => volumes).map((
    each
  ) => each.split(':'))
  for (const [source = ''] of mounted) if (source.startsWith('.')) await t.resolves(access(source), source)
  t.match(mounted, [['./deploy/prometheus', '/etc/prometheus', 'ro']])
  t.match(compose.services.grafana.environment, {
    GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: `${
      parse(await text(DASHBOARDS)).providers[0].options.path
    }/dashboard.json`
  })
  t.match(parse(await text(DATASOURCES)), { datasources: [{ type: 'prometheus', url: 'http://prometheus:9090' }] })
})

t.test('a copy of .env.example starts on the sandbox, and git ignores it', async (t) => {
  const example = await text('.env.example')
  const pairs = (pattern: RegExp) =>
    [...example.matchAll(pattern)].map(([, name = '', value = '']) => [name, value] as const)
  t.same(
    pairs(/^#?([A-Z_]+)=(.*)$/gm).filter(([name]) => name !== 'PUBLISH' && !Object.hasOwn(Settings.properties, name)),
    []
  )
  const outcome = readSettings({
    ...Object.fromEntries(pairs(/^([A-Z_]+)=(.*)$/gm)),
    ...compose.services.bff.environment
  })
  t.same(outcome.ok ? [] : outcome.faults, [])
  const { ALLOWED_HOSTS, ALLOWED_ORIGINS } = Object.fromEntries(pairs(/^#?([A-Z_]+)=(.*)$/gm))
  t.match(ALLOWED_HOSTS, /./)
  t.ok(readSettings({ ALLOWED_HOSTS, ALLOWED_ORIGINS }).ok)
  t.ok((await text('.gitignore')).split('\n').includes('.env'))
})

t.test('the settings of the manifest are valid, and two replicas share the budget', async (t) => {
  const file = `${t.testdir({ tokens: 'a token that is one\n'.replaceAll(' ', '-') })}/tokens`
  const env = Object.fromEntries(container.env.map(({ name, value }: Variable) => [name, value ?? 'the-key']))
  t.match(env.AUTH_TOKENS_FILE, `${container.volumeMounts[0].mountPath}/${pod.volumes[0].secret.items[0].path}`)
  const outcome = readSettings({ HOST: '0.0.0.0', ...env, AUTH_TOKENS_FILE: file })
  t.same(outcome.ok ? [] : outcome.faults, [])
  const { KUBIYA_REQUESTS_PER_DAY: day, KUBIYA_REQUESTS_PER_MINUTE: minute } = Settings.properties
  t.match(env.ALLOWED_HOSTS, /^[a-z.]+$/)
  t.equal(Number(env.KUBIYA_REQUESTS_PER_DAY) * Deployment.spec.replicas, day.default)
  t.equal(Number(env.KUBIYA_REQUESTS_PER_MINUTE) * Deployment.spec.replicas, minute.default)
})

t.test('the manifest confines the service', async (t) => {
  t.match(pod, {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' }
    }
  })
  t.match(container, {
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    resources: { requests: { cpu: /./, memory: /./ }, limits: { memory: '1Gi' } }
  })
  t.notOk(container.securityContext.capabilities.add)
  t.match(dockerfile, new RegExp(`^USER ${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}$`, 'm'))
  t.equal(container.image.split(':').at(-1), packageJson.version)
})

t.test('the manifest starts a replica before one ends, and lets that one drain', async (t) => {
  t.match(Deployment.spec.strategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } })
  const drainMs = Number(container.env.find(({ name }: { name: string }) => name === 'DRAIN_MS').value)
  const { seconds: waitSeconds } = container.lifecycle.preStop.sleep
  t.ok(waitSeconds > 0)
  t.ok(pod.terminationGracePeriodSeconds * 1000 > waitSeconds * 1000 + drainMs + CLOSING_MS)
  t.ok(Deployment.spec.replicas > PodDisruptionBudget.spec.maxUnavailable)
  for (
    const [probe, path] of [['startupProbe', '/readyz'], ['readinessProbe', '/readyz'], [
      'livenessProbe',
      '/livez'
    ]] as const
  ) {
    t.match(container[probe].httpGet, { path, port: 'http' })
  }
  const { failureThreshold, periodSeconds } = container.startupProbe
  t.ok(
    failureThreshold * periodSeconds * 1000 > 2 * Settings.properties.UPSTREAM_TIMEOUT_MS.default,
    'the probe waits for a slow Kubiya'
  )
})

t.test('the selectors of the manifest match its pods, and its ports are the open ones', async (t) => {
  const { labels } = Deployment.spec.template.metadata
  const selectors = [
    Deployment.spec.selector.matchLabels,
    Service.spec.selector,
    PodDisruptionBudget.spec.selector.matchLabels,
    NetworkPolicy.spec.podSelector.matchLabels
  ]
  for (const selector of selectors) t.same(selector, labels)
  const ports = Object.fromEntries(container.ports.map(({ containerPort, name }: Port) => [name, containerPort]))
  t.same(ports, { http: Settings.properties.PORT.default, metrics: 9090 })
  t.ok(container.env.some(({ name, value }: Variable) => name === 'METRICS_PORT' && value === String(ports.metrics)))
  t.equal(Service.spec.ports[0].targetPort, 'http')
  t.same(NetworkPolicy.spec.policyTypes, ['Ingress', 'Egress'])
  t.same(NetworkPolicy.spec.egress.map(({ ports }: Egress) => ports.map(({ port }) => port)), [[53, 53], [443]])
  const [dns, beyond] = NetworkPolicy.spec.egress
  t.match(dns.to, [{
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
    podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } }
  }])
  for (const { ipBlock } of beyond.to) {
    const inside = new BlockList()
    for (const each of ipBlock.except) {
      const [address, bits] = each.split('/')
      inside.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
    }
    const [shut, open] = ipBlock.cidr === '::/0'
      ? [['fd00::1', 'fe80::1'], ['2606:4700::1']]
      : [['10.96.0.1', '172.20.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1'], ['1.1.1.1', '172.32.0.1']]
    for (const address of [...shut, ...open]) {
      t.equal(inside.check(address, ipBlock.cidr === '::/0' ? 'ipv6' : 'ipv4'), shut.includes(address), address)
    }
  }
})

t.test('alerts and dashboard query existing metrics', async (t) => {
  const service = await startService(t)
  const known = metricNames(await (await service.get('/metrics')).text())
  t.ok(known.size > 50)
  const asked = [
    ...alerts.map(({ alert, expr }) => [alert, expr] as const),
    ...panels.flatMap(({ targets = [], title }) => targets.map(({ expr }) => [title, expr] as const))
  ]
  for (const [where, expr] of asked) {
    const names = namesOf(expr)
    t.ok(names.length > 0 || expr.startsWith('up{'), where)
    t.same(names.filter((name) => !known.has(name)), [], where)
  }
  const variables = new Set(
    dashboard.templating.list.flatMap(({ query }: { query: { query?: string } }) => namesOf(query.query ?? ''))
  )
  t.same([...variables].filter((name) => !known.has(String(name))), [])
})

t.test('each alert has a summary, a description, an action, a runbook and a test', async (t) => {
  const anchors = new Set(
    [...(await text('docs/operations.md')).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title.toLowerCase().replaceAll(' ', '-').replace(/[^\w-]/g, '')
    )
  )
  const tests = await text(ALERT_TESTS)
  t.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length)
  for (const { alert, annotations, labels } of alerts) {
    t.match(labels.severity, /^(?:critical|warning)$/, alert)
    for (const name of ['summary', 'description', 'action']) t.match(annotations[name], /.{10}/, `${alert}: ${name}`)
    const [page, anchor = ''] = annotations.runbook?.split('#') ?? []
    t.equal(page, 'docs/operations.md')
    t.ok(anchors.has(anchor), `${alert}: #${anchor}`)
    t.ok(tests.includes(alert), `${alert} is tested`)
  }
  for (const { expr } of alerts.filter(({ expr }) => /\bjob=/.test(expr))) {
    t.match(expr, `job="${prometheus.scrape_configs[0].job_name}"`)
  }
})

const hasPromtool = (await run('promtool', ['--version']).catch(() => undefined)) !== undefined
t.test('promtool accepts the configuration and the queries, and alerts fire when they should', {
  ...needs('promtool', hasPromtool)
}, async (t) => {
  const rules = panels.flatMap(({ targets = [] }) => targets).map(({ expr }) =>
    `- {record: a, expr: ${JSON.stringify(expr.replaceAll('$__rate_interval', '5m'))}}`
  )
  const queries = `${
    t.testdir({
      'queries.yml': `groups: [{name: dashboard, rules: [\n${rules.map((rule) => rule.slice(2)).join(',\n')}\n]}]`
    })
  }/queries.yml`
  for (
    const args of [['check', 'config', PROMETHEUS], ['check', 'rules', '--lint=none', queries], [
      'test',
      'rules',
      ALERT_TESTS
    ]]
  ) {
    const { code, said } = await run('promtool', args)
    t.equal(code, 0, said)
  }
})
