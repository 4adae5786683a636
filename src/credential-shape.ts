// The shapes of credentials that stand in files: in holdpoint.yaml under `approvers`, and in approvers.json. Types and
// bounds only; refuses to know whose they are and whether they are good keys.

import { z } from 'zod';

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43,86}$/, 'must be a number of the key in base64url');

const publicJwk = z.discriminatedUnion('kty', [
  z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
  z.strictObject({ kty: z.literal('EC'), crv: z.enum(['P-256', 'P-384']), x: coordinate, y: coordinate }),
  z.strictObject({
    kty: z.literal('RSA'),
    n: z.string().regex(/^[A-Za-z0-9_-]{342,2732}$/, 'must be a modulus of at least 2048 bits'),
    e: z.string().regex(/^[A-Za-z0-9_-]{1,8}$/),
  }),
]);

/** A WebAuthn credential: what enrolment on the page gives. `created` is an ISO 8601 time. */
export const passkeyShape = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9_-]{11,1366}$/, 'must be a credential id in base64url'),
  jwk: publicJwk,
  algorithm: z
    .literal([-7, -8, -35, -257])
    .describe('COSE number: -7 ES256, -8 EdDSA, -35 ES384, -257 RS256.'),
  counter: z.int().min(0).default(0),
  transports: z.array(z.string().max(32)).max(10).default([]),
  backedUp: z.boolean().default(false),
  created: z.iso.datetime({ offset: true }).default('1970-01-01T00:00:00Z'),
});

/** Somebody at an OpenID provider: the `iss` and `sub` of their ID tokens. */
export const subjectShape = z.strictObject({
  issuer: z.url({ protocol: /^https?$/ }),
  subject: z.string().min(1).max(255),
});

/** A Slack account, by the ids that Slack itself signs: never an address or a display name. */
export const slackUserShape = z.strictObject({
  team: z.string().regex(/^[TE][A-Z0-9]{2,30}$/, 'must be a team id such as T012AB3CD'),
  user: z.string().regex(/^[UW][A-Z0-9]{2,30}$/, 'must be a user id such as U012AB3CD'),
  enterprise: z
    .string()
    .regex(/^E[A-Z0-9]{2,30}$/, 'must be an enterprise id such as E012AB3CD')
    .optional(),
});
