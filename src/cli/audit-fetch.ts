// `holdpoint audit fetch`: logs out of a bucket into a folder, for `audit verify`. For auditors: needs the right to list
// and get, and neither the machine that wrote the log nor anything from it.

import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { HoldpointError } from '../errors.ts';
import { Bucket } from '../ship/bucket.ts';
import { fetchLog } from '../ship/fetch.ts';
import type { Output } from './outcome.ts';

export interface FetchFlags {
  readonly region?: string;
  readonly endpoint?: string;
  readonly pathStyle?: boolean;
}

/** Adds the command. `run` turns what it returns or throws into the exit code. */
export function registerFetch(
  audit: Command,
  run: (act: () => Promise<number>) => Promise<void>,
  output: Output,
): void {
  audit
    .command('fetch')
    .description(
      'get logs out of the S3 bucket that they were shipped to, without the machine that wrote them',
    )
    .argument('<url>', 's3://BUCKET/PREFIX')
    .argument('<dir>', 'where to; each log gets a folder of its own in it')
    .option('--region <region>', 'of the bucket')
    .option('--endpoint <url>', 'of another store than Amazon S3')
    .option('--path-style', 'the bucket stands in the path of a URL, not in its host')
    .action((url: string, dir: string, flags: FetchFlags) => run(() => fetchLogs(url, dir, flags, output)));
}

/** `audit fetch`. Credentials are those that the AWS SDK finds. */
export async function fetchLogs(
  url: string,
  dir: string,
  flags: FetchFlags,
  output: Output,
): Promise<number> {
  const place = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url);
  if (place === null) throw new HoldpointError('bad-request', `${url} is not s3://BUCKET/PREFIX`);
  const bucket = new Bucket({
    bucket: place[1]!,
    region: flags.region,
    endpoint: flags.endpoint,
    forcePathStyle: flags.pathStyle === true,
    credentials: undefined,
  });
  try {
    const top = place[2]!.replace(/\/?$/, place[2] === '' ? '' : '/');
    const prefixes: string[] = [];
    // Every log has its root key there, before anything else.
    for await (const key of bucket.keys(top))
      if (key === `${top}keys/root.jwk` || key.endsWith('/keys/root.jwk'))
        prefixes.push(key.slice(0, -'keys/root.jwk'.length));
    if (prefixes.length === 0)
      throw new HoldpointError(
        'not-found',
        `there is no log under ${url}: none of its folders has keys/root.jwk`,
      );
    for (const prefix of prefixes) {
      const { folder, segments, objects } = await fetchLog(
        bucket,
        prefix,
        join(dir, basename(prefix) || 'log'),
      );
      output.out(`${folder}: ${segments} segments out of ${objects} objects\n`);
    }
    output.out(`Next: holdpoint audit verify ${dir} --root-key THUMBPRINT\n`);
    return 0;
  } catch (error) {
    if (error instanceof HoldpointError) throw error;
    throw new HoldpointError('bad-request', (error as Error).message, { cause: error });
  } finally {
    bucket.close();
  }
}
