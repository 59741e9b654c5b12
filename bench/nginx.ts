import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChild, type Child } from './child.ts'
import { nchanModule, nginx } from './machine.ts'

/**
 * nginx with nchan: `/publish` takes an event, `/stream` gives them over WebSockets. `undefined` where it is not
 * installed.
 */
export function startNchan (port: number): Child | undefined {
  if (nginx === undefined || nchanModule === undefined) return undefined
  return start(`load_module ${nchanModule};`, 20_000, `
    nchan_max_reserved_memory 256M;
    server {
      listen 127.0.0.1:${port};
      location = /publish { nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 50; }
      location = /stream { nchan_subscriber websocket; nchan_channel_id all; nchan_subscriber_first_message newest; }
    }`)
}

/** nginx that keeps what another server answers. */
export function startProxyCache (port: number, origin: number): Child | undefined {
  if (nginx === undefined) return undefined
  return start('', 1024, `
    proxy_cache_path cache keys_zone=bench:10m;
    server {
      listen 127.0.0.1:${port};
      keepalive_requests 100000000;
      location / { proxy_pass http://127.0.0.1:${origin}; proxy_cache bench; proxy_cache_valid 200 1h; }
    }`)
}

/** One process, so that its CPU time is all there is. */
function start (modules: string, connections: number, http: string): Child {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
    .join(' ')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${modules}
    daemon off; master_process off; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile ${connections};
    events { worker_connections ${connections}; }
    http { access_log off; ${temporary} ${http} }`)
  return startChild('measured', ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')])
}
