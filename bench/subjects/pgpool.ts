// pgpool-II in front of one server, with nothing of a cluster: no balancing, no failover, no checks. Parses every statement.

import { readFileSync } from 'node:fs';
import { freePort } from '../../src/demo/postgres.ts';
import { found, startProgram, writeFor } from './program.ts';
import { Absent, type Candidate } from './subject.ts';

export const pgpool: Candidate = {
  name: 'pgpool',
  async start(place) {
    const program = found('pgpool', 'pgpool2');
    if (program instanceof Absent) return program;
    const [port, pcpPort] = [await freePort(), await freePort()];
    const { host, port: serverPort, user, password } = place.server;
    writeFor(place, 'pool_passwd', `${user}:TEXT${password}\n`);
    const hba = writeFor(place, 'pool_hba.conf', 'host all all 127.0.0.1/32 scram-sha-256\n');
    const pcp = writeFor(place, 'pcp.conf', '');
    const settings: Record<string, string | number> = {
      backend_clustering_mode: 'streaming_replication',
      listen_addresses: '127.0.0.1',
      port,
      socket_dir: place.folder,
      pcp_socket_dir: place.folder,
      pcp_port: pcpPort,
      backend_hostname0: host,
      backend_port0: serverPort,
      backend_flag0: 'DISALLOW_TO_FAILOVER',
      enable_pool_hba: 'on',
      pool_passwd: 'pool_passwd',
      num_init_children: place.sessionsMax + 10,
      max_pool: 1,
      child_life_time: 0,
      load_balance_mode: 'off',
      failover_on_backend_error: 'off',
      sr_check_period: 0,
      health_check_period: 0,
      pid_file_name: `${place.folder}/pgpool.pid`,
      logdir: place.folder,
    };
    if (place.tls !== undefined)
      Object.assign(settings, {
        ssl: 'on',
        ssl_cert: writeFor(place, 'server.crt', readFileSync(place.tls.cert, 'utf8')),
        ssl_key: writeFor(place, 'server.key', readFileSync(place.tls.key, 'utf8')),
      });
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    const file = writeFor(place, 'pgpool.conf', lines.join(''));
    return startProgram([program, '-n', '-f', file, '-a', hba, '-F', pcp], place, { ...place.server, port });
  },
};
