/** Debian's nginx in front of replicas, with the health checks that nginx's free edition lacks. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const CHECK_MS = 200

export interface Balancer {
  /** Where clients reach it. */
  base: string
  /** Resolves when the replica at this port is sent requests. */
  isUp(port: number): Promise<void>
  /** Resolves when the replica at this port is sent no more requests, except those on their way. */
  isDown(port: number): Promise<void>
  /** What nginx has logged as an error. */
  errors(): Promise<string>
  close(): Promise<void>
}

/** @param ports The replicas, on loopback; all answer `/readyz` with 200 by now. @param port Where it listens. */
export async function startBalancer(ports: readonly number[], port: number): Promise<Balancer> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-nginx-'))
  const up = new Set(ports)
  /** Workers that were told to end; each answers what it has accepted. */
  const old = new Set<number>()
  const writeUpstreams = () =>
    writeFileSync(
      join(dir, 'upstreams.conf'),
      ports.map(replica => `server 127.0.0.1:${replica}${up.has(replica) ? '' : ' down'};\n`).join(''),
    )
  writeUpstreams()
  const child = runNginx(dir, balancing(dir, port))

  /** One round of health checks. On a change nginx reloads its configuration without dropping connections. */
  async function check(): Promise<void> {
    const ready = await Promise.all(ports.map(isReady))
    const changed = ports.filter((replica, i) => up.has(replica) !== ready[i])
    if (changed.length === 0) return
    for (const replica of changed) if (!up.delete(replica)) up.add(replica)
    writeUpstreams()
    for (const { pid } of workers(child.pid)) old.add(pid)
    child.kill('SIGHUP')
  }

  let closing = false
  const checking = (async () => {
    while (!closing) {
      await check()
      await Bun.sleep(CHECK_MS)
    }
  })()
  const base = `http://127.0.0.1:${port}`
  while (!(await fetch(`${base}/healthz`).catch(() => undefined))?.ok) await Bun.sleep(20)
  return {
    base,
    async isUp(replica) {
      while (!up.has(replica)) await Bun.sleep(20)
    },
    async isDown(replica) {
      const accepting = () => workers(child.pid).filter(({ accepts }) => accepts)
      while (up.has(replica) || accepting().length === 0 || accepting().some(({ pid }) => old.has(pid)))
        await Bun.sleep(20)
    },
    errors: () => Bun.file(join(dir, 'error.log')).text(),
    async close() {
      closing = true
      await checking
      child.kill('SIGTERM')
      await child.exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { keepalive: false }).catch(() => undefined)
  return answer?.status === 200
}

/** nginx's workers; after a reload the title of an old one says that it is shutting down. */
function workers(master: number): { pid: number; accepts: boolean }[] {
  const children = readFileSync(`/proc/${master}/task/${master}/children`, 'utf8').trim()
  return children
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .filter(pid => existsSync(`/proc/${pid}/cmdline`))
    .map(pid => ({ pid, accepts: !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('shutting down') }))
}

/** @param http What the `http` block contains beside paths, all of which are inside `dir`. */
function runNginx(dir: string, http: string) {
  const nginx = Bun.which('nginx', { PATH: `${process.env.PATH}:/usr/sbin` })
  if (!nginx) throw new Error('nginx is not installed; on Debian: apt-get install nginx')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    name => `${name}_temp_path ${join(dir, name)};`,
  )
  writeFileSync(
    join(dir, 'nginx.conf'),
    `
daemon off;
worker_processes 1;
pid ${join(dir, 'nginx.pid')};
events {}
http {
  access_log off;
  # After a reload an old worker closes idle connections, perhaps just when a client sends on one.
  keepalive_timeout 0;
  error_log ${join(dir, 'error.log')} warn;
  ${temporary.join('\n  ')}
  ${http}
}
`,
  )
  return Bun.spawn([nginx, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** An nginx that runs until it is closed. @param locations By port on loopback, what its server has. */
export async function startNginx(locations: Record<number, string>): Promise<AsyncDisposable> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-nginx-'))
  const servers = Object.entries(locations).map(([port, text]) => `server { listen 127.0.0.1:${port};\n${text}\n}`)
  const child = runNginx(dir, servers.join('\n'))
  for (const port of Object.keys(locations))
    while (!(await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' }).catch(() => undefined)))
      await Bun.sleep(5)
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await child.exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** As in the README, without TLS. */
function balancing(dir: string, port: number): string {
  return `
  upstream mcp {
    include ${join(dir, 'upstreams.conf')};
    keepalive 16;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }`
}
