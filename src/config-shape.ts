// The shape of holdpoint.yaml: every key, its type, its bounds and its default, in this one place. Refuses to know what
// belongs together (config.ts). config.schema.json is made of it by scripts/write-schema.ts.

import { z } from 'zod';
import { passkeyShape, slackUserShape, subjectShape } from './credential-shape.ts';
import { shipShape } from './ship-shape.ts';

const dayMs = 86_400_000;
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/,
    'a name is 1 to 63 letters, digits, dots, dashes and underscores',
  );
const ms = (least: number, most: number) => z.int().min(least).max(most);
const listenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/, 'must be HOST:PORT, such as 127.0.0.1:6432');

const environment = z.enum(['production', 'staging', 'development']);

const targetHold = z.strictObject({
  waitMs: ms(100, dayMs).optional(),
  expiresMs: ms(1000, 30 * dayMs).optional(),
  pendingMax: z.int().min(1).max(1000).optional(),
  heartbeatMs: ms(100, 600_000).optional(),
  outside: z
    .enum(['none', 'witness', 'store'])
    .default('none')
    .describe(
      'What has to vouch for the log of it outside this machine before a held statement runs: audit.witnesses, or the store that segments are shipped to.',
    ),
});

const target = z.strictObject({
  url: z.string().describe("The target's own URL, with credentials that no agent ever sees."),
  environment: environment.default('production'),
  systemIdentifier: z
    .string()
    .regex(
      /^[1-9]\d{0,19}$/,
      'must be the digits that SELECT system_identifier FROM pg_control_system() gives',
    )
    .optional()
    .describe(
      'The one server this target means. Without it, the server found first is remembered; with it, any other is refused.',
    ),
  server: z
    .enum(['community', 'patched'])
    .default('community')
    .describe(
      'patched: also a server that names itself as a fork of PostgreSQL, whose grammar may not be the one statements are judged by.',
    ),
  rules: z
    .string()
    .min(1)
    .default('default')
    .describe('A shipped pack by name, or a path relative to this file.'),
  approval: z
    .strictObject({
      level: z
        .enum(['link', 'slack', 'key', 'ssh', 'oidc', 'passkey'])
        .default('key')
        .describe('The least evidence, weakest first; ssh and oidc are other words for key.'),
      quorum: z.int().min(1).max(20).default(1).describe('How many different people.'),
      approvers: z
        .array(name)
        .min(1)
        .max(100)
        .optional()
        .describe('Only these approvers count here; all of them if left out.'),
    })
    .prefault({}),
  hold: targetHold.optional(),
});

const agent = z.strictObject({
  password: z.string().min(1).optional(),
  verifier: z
    .string()
    .regex(/^SCRAM-SHA-256\$\d+:[^$:]+\$[^$:]+:[^$:]+$/, 'must be a SCRAM-SHA-256 verifier as in pg_authid')
    .optional(),
  targets: z.array(z.string()).min(1),
  access: z
    .enum(['read-write', 'read-only'])
    .default('read-write')
    .describe('read-only: sessions are read-only at the server, and every way out of that is denied.'),
  onBehalfOf: z
    .array(name)
    .max(100)
    .default([])
    .describe('The people whose work it does: approvers by these names never count for its requests.'),
  expires: z.iso.datetime({ offset: true }).optional(),
});

const publicKey = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be the 43 characters of an Ed25519 public key'),
  kid: z.string().optional(),
  alg: z.string().optional(),
  use: z.string().optional(),
});
const approver = z.strictObject({
  key: publicKey.optional(),
  keys: z.array(publicKey).min(1).optional(),
  ssh: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('Lines of OpenSSH public key files; also of security keys (sk-).'),
  passkeys: z.array(passkeyShape).min(1).optional(),
  oidc: z.array(subjectShape).min(1).optional(),
  slack: z.array(slackUserShape).min(1).optional(),
  breakGlass: z.boolean().default(false).describe('May release alone in an emergency, to be reviewed.'),
});
const oidc = z.strictObject({
  issuer: z.url({ protocol: /^https?$/ }).describe('The provider; everything else of it is discovered.'),
  clientId: z.string().min(1).max(255),
  clientSecret: z.string().min(1).optional(),
  acr: z
    .array(z.string().min(1))
    .default([])
    .describe('Authentication contexts that are strong enough; any if empty.'),
  maxAgeSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .default(300)
    .describe('How long before the decision the person may have signed in at the provider.'),
});

/** The shape of holdpoint.yaml, with every default. */
export const configShape = z.strictObject({
  listen: z
    .strictObject({
      postgres: listenAddress.default('127.0.0.1:6432'),
      http: listenAddress.default('127.0.0.1:8432'),
    })
    .prefault({}),
  publicUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('What links are made of; default: the http listener.'),
  dataDir: z.string().min(1).default('./holdpoint-data'),
  tls: z.strictObject({ cert: z.string(), key: z.string(), required: z.boolean().default(true) }).optional(),
  insecure: z.boolean().default(false).describe('Allow plaintext listeners that other machines can reach.'),
  targets: z.record(name, target),
  agents: z.record(name, agent).default({}),
  approvers: z.record(name, approver).default({}),
  oidc: oidc.optional(),
  hold: z
    .strictObject({
      waitMs: ms(100, dayMs).default(60_000),
      expiresMs: ms(1000, 30 * dayMs).default(3_600_000),
      pendingMax: z.int().min(1).max(1000).default(20),
      heartbeatMs: ms(100, 600_000).default(15_000),
    })
    .prefault({}),
  store: z
    .string()
    .default('memory')
    .describe(
      'State that several proxies share: memory (one proxy), redis://HOST:PORT/DB, rediss://…, redis-sentinel://HOST,HOST/NAME/DB, redis-cluster://HOST,HOST.',
    ),
  node: name
    .optional()
    .describe(
      'The name of this proxy among those that share the store, and of its log. Needed where the store is shared; default: holdpoint.',
    ),
  audit: z
    .strictObject({
      reads: z
        .enum(['kill-safe', 'output-commit', 'write-ahead'])
        .default('kill-safe')
        .describe(
          'What reads wait for; writes wait for the disk in any case. kill-safe: their record is in the file, which a kill does not lose. output-commit: so, and their answer waits until it is on disk. write-ahead: they wait for the disk as writes do.',
        ),
      sealMs: ms(0, 10_000).default(5),
      segmentBytesMax: z.int().min(65_536).max(1_073_741_824).default(67_108_864),
      stallMs: ms(100, 600_000)
        .default(10_000)
        .describe(
          'How long the disk of the log or its signer may be silent before statements are refused. They are taken again when it answers.',
        ),
      ballastBytes: z
        .int()
        .min(0)
        .max(17_179_869_184)
        .default(67_108_864)
        .describe(
          'Room kept on the disk of the log, so that a log whose disk is full can still say so and end. 0: none.',
        ),
      values: z
        .enum(['none', 'auditor', 'clear'])
        .optional()
        .describe(
          'What becomes of literals and parameters. none: the log commits to them and they are forgotten; auditor: they are put aside, encrypted to auditorKeys, and can be opened one by one and erased; clear: they stand in the log, for development. Default: auditor if auditorKeys names any, else none.',
        ),
      auditorKeys: z
        .array(
          z.union([z.string().min(1), z.looseObject({ kty: z.literal('OKP'), crv: z.literal('X25519') })]),
        )
        .max(16)
        .optional()
        .describe('Public X25519 keys (JWK) of those who may open values, or files that hold them.'),
      comments: z
        .enum(['strip', 'keep'])
        .optional()
        .describe(
          'Whether the comments in statements, in which anything may be written, stand in the log. Default: strip, and keep where values are clear.',
        ),
      checkpointMs: ms(10, 600_000)
        .default(1000)
        .describe('How often a checkpoint of the log is signed, at most, while anything is written.'),
      witnesses: z
        .array(
          z.strictObject({
            url: z
              .url({ protocol: /^https?$/ })
              .describe('Submission prefix; /add-checkpoint is added to it.'),
            key: z.string().describe('Its key as it prints it: NAME+HASH+KEY.'),
          }),
        )
        .max(16)
        .default([])
        .describe('Who cosigns checkpoints, by C2SP tlog-witness: `holdpoint witness`, or any other.'),
      witnessQuorum: z
        .int()
        .min(1)
        .max(16)
        .default(1)
        .describe('How many of them have to cosign before a checkpoint counts as witnessed.'),
      anchorMs: ms(100, 600_000)
        .default(10_000)
        .describe(
          'How long a held statement waits to be vouched for outside, where its target asks for that.',
        ),
      compress: z
        .boolean()
        .default(false)
        .describe('Whether closed segments are compressed with zstd; `zstdcat` then gives their lines.'),
      retainDays: z
        .int()
        .min(1)
        .max(36_500)
        .optional()
        .describe(
          'Closed segments older than that are pruned, which the log itself records. Default: none are.',
        ),
      retainBytes: z
        .int()
        .min(1_048_576)
        .optional()
        .describe('The oldest closed segments are pruned while all of them take more. Default: none are.'),
      ship: shipShape.prefault({}).describe('Where the log is carried to.'),
    })
    .prefault({}),
  catalog: z
    .strictObject({
      pollMs: ms(100, 600_000)
        .default(2000)
        .describe('How often a target is asked whether definitions were changed from elsewhere.'),
    })
    .prefault({}),
  effect: z
    .strictObject({
      measureMs: ms(0, 60_000)
        .default(1000)
        .describe(
          'How long it may take to find out what a held statement would touch, before anybody is asked. 0: not at all.',
        ),
      countMs: ms(1, 60_000)
        .default(300)
        .describe(
          "How long one count of rows in it may take; the planner's estimate stands in for a longer one.",
        ),
    })
    .prefault({}),
  slack: z
    .strictObject({
      token: z.string().min(1).describe('The bot token, with chat:write, im:write and users:read.'),
      channel: z.string().min(1).describe('The id of a channel that agents are not in.'),
      signingSecret: z.string().min(1),
      apiUrl: z.url({ protocol: /^https?$/ }).default('https://slack.com/api/'),
    })
    .optional(),
  webhooks: z
    .array(
      z.strictObject({
        name: name.optional().describe('Its name in metrics and in the log; default: webhook, webhook-2, …'),
        url: z.url({ protocol: /^https?$/ }),
        secret: z
          .string()
          .regex(
            /^whsec_[A-Za-z0-9+/]{22,172}={0,2}$/,
            'must be whsec_ and at least 16 random bytes in base64, such as `openssl rand -base64 32` gives',
          ),
        environments: z.array(environment).min(1).optional(),
        targets: z.array(z.string()).min(1).optional(),
        links: z
          .boolean()
          .default(false)
          .describe('Whether events carry a link that opens the request: whoever receives them may look.'),
      }),
    )
    .max(20)
    .default([]),
  limits: z
    .strictObject({
      connectionsMax: z
        .int()
        .min(1)
        .max(100_000)
        .default(1000)
        .describe(
          'Connections of agents at once. Each takes two descriptors: where the limit of open files is lower, as many as fit are taken, and a start says so.',
        ),
      statementBytesMax: z.int().min(1024).max(1_073_741_823).default(16_777_216),
      bindBytesMax: z.int().min(1024).max(1_073_741_823).default(67_108_864),
      loginMs: ms(100, 600_000).default(10_000),
      drainMs: ms(0, 3_600_000).default(30_000),
    })
    .prefault({}),
});

/** A file that has this shape, with the defaults filled in. */
export type ConfigShape = z.output<typeof configShape>;

/** JSON Schema of holdpoint.yaml, for editors: the text of config.schema.json. */
export function configSchemaText(): string {
  return `${JSON.stringify(z.toJSONSchema(configShape, { io: 'input' }), null, 2)}\n`;
}
