// The shape of `audit.ship` in holdpoint.yaml: where the log is carried to. Refuses to know how.

import { z } from 'zod';

const required = z
  .boolean()
  .default(false)
  .describe('Whether /readyz fails while it is away, and nothing is pruned that it has not got.');

const host = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/, 'must be HOST:PORT, such as 127.0.0.1:6514');

const s3 = z.strictObject({
  bucket: z.string().min(3).max(255).describe('With Object Lock enabled, best in an account of its own.'),
  prefix: z
    .string()
    .regex(
      /^([A-Za-z0-9!_.*'()-]+\/)*[A-Za-z0-9!_.*'()-]*$/,
      'must be names separated by slashes, such as logs/prod',
    )
    .default(''),
  region: z.string().min(1).optional(),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Of another store than Amazon S3.'),
  forcePathStyle: z
    .boolean()
    .default(false)
    .describe('Whether the bucket stands in the path of a URL, not in its host.'),
  credentials: z
    .strictObject({
      accessKeyId: z.string().min(1),
      secretAccessKey: z.string().min(1),
      sessionToken: z.string().min(1).optional(),
    })
    .optional()
    .describe(
      'Without them: environment, profile or instance role, as the AWS SDK finds them. s3:PutObject and s3:PutObjectRetention are enough.',
    ),
  retainDays: z
    .int()
    .min(1)
    .max(36_500)
    .describe('How long each object stays, whatever anybody does. In COMPLIANCE mode nobody can shorten it.'),
  mode: z.enum(['COMPLIANCE', 'GOVERNANCE']).default('COMPLIANCE'),
  everyMs: z
    .int()
    .min(100)
    .max(86_400_000)
    .default(60_000)
    .describe('How old the newest records may get before they are put, where nobody waits for them.'),
  required,
});

const otlp = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .describe('Where logs are taken over OTLP/HTTP, such as http://collector:4318/v1/logs.'),
  headers: z.record(z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/), z.string()).default({}),
  required,
});

const syslog = z.strictObject({
  to: host,
  transport: z
    .enum(['tls', 'tcp', 'udp'])
    .default('tls')
    .describe(
      'tls: RFC 5425. tcp: the same without encryption. udp: RFC 5426, which loses messages and does not tell.',
    ),
  ca: z.string().min(1).optional().describe("The file of the certificate authority; default: the system's."),
  facility: z.int().min(0).max(23).default(13).describe('13 is "log audit".'),
  enterprise: z
    .int()
    .min(0)
    .max(4_294_967_295)
    .default(32_473)
    .describe(
      'Your private enterprise number, in the name of the structured data; 32473 is the one for examples.',
    ),
  required,
});

const redis = z.strictObject({
  url: z.string().describe('As of `store`; may be the same server.'),
  lengthMax: z
    .int()
    .min(1_000)
    .max(1_000_000_000)
    .default(100_000)
    .describe('About how many records the stream keeps.'),
  required,
});

export const shipShape = z.strictObject({
  s3: s3.optional(),
  otlp: otlp.optional(),
  syslog: syslog.optional(),
  redis: redis.optional(),
});

/** What the file says. */
export type ShipShape = z.output<typeof shipShape>;
