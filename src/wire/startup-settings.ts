// What becomes of a client's startup parameters: the few that are passed on, the ones that are ours to set, and the
// refusal of all others. The server is sent a packet built from this result, never the client's own.
// Knows names and the shape of values; refuses to know users, targets and sockets.
// Source: ProcessStartupPacket and the manual's "Server Configuration"; the startup values set here outrank ALTER ROLE
// and ALTER DATABASE SET and survive RESET ALL and DISCARD ALL, which is what makes them a pin.

import { HoldpointError } from '../errors.ts';
import type { StartupMessage } from './startup.ts';
import { readOptions } from './startup-options.ts';

export interface StartupPolicy {
  /** Whether `search_path` is passed on: it changes what unqualified names mean. */
  searchPath: boolean;
  /** Custom settings (`app.user_id`) that may be set, in lower case; row security policies may hang on them. */
  customSettings: ReadonlySet<string>;
}

export const startupPolicyDefault: StartupPolicy = { searchPath: true, customSettings: new Set() };

/** What the client asked for, as far as it is granted. The user is not yet authenticated. */
export interface StartupSettings {
  user: string;
  /** The user's name if the client named no database, as with the server. */
  database: string;
  /** Version of protocol 3 that is spoken with this client. */
  minor: 0 | 2;
  /** To send to the server, our pins included; names in the server's spelling of lower case. */
  settings: (readonly [name: string, value: string])[];
  /** To be answered with NegotiateProtocolVersion before authentication begins. */
  negotiate?: { minor: 0 | 2; unknown: string[] };
}

/** Settings the parser's reading of every statement rests on. */
const pins: readonly (readonly [string, string])[] = [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  // Its default, which ALTER ROLE may have changed: accepts no other text than the parser does.
  ['backslash_quote', 'safe_encoding'],
];

const readOnlySetting = 'default_transaction_read_only';

/** Longest name in bytes: NAMEDATALEN - 1. */
const nameBytesMax = 63;
const valueLengthMax = 1024;

type Check = (value: string) => boolean;

const duration: Check = (value) => /^\s*-?[0-9]{1,12}(\.[0-9]+)?\s*(us|ms|s|min|h|d)?\s*$/.test(value);
const boolean: Check = (value) => parseBoolean(value) !== undefined;
const anyText: Check = () => true;

/** Settings that are passed on, and the shape their values must have. The server checks the values again. */
const allowed: Readonly<Record<string, Check>> = {
  application_name: anyText,
  bytea_output: oneOf('hex', 'escape'),
  client_min_messages: oneOf(
    'debug5',
    'debug4',
    'debug3',
    'debug2',
    'debug1',
    'debug',
    'log',
    'info',
    'notice',
    'warning',
    'error',
  ),
  default_transaction_read_only: anyText,
  datestyle: (value) => /^[a-z]+(\s*,\s*[a-z]+)*$/i.test(value.trim()),
  default_transaction_isolation: oneOf(
    'serializable',
    'repeatable read',
    'read committed',
    'read uncommitted',
  ),
  extra_float_digits: (value) => /^(-?[0-9]|-1[0-5])$/.test(value.trim()),
  geqo: boolean,
  idle_in_transaction_session_timeout: duration,
  idle_session_timeout: duration,
  intervalstyle: oneOf('postgres', 'postgres_verbose', 'sql_standard', 'iso_8601'),
  jit: boolean,
  lock_timeout: duration,
  search_path: keepsBuiltinsFirst,
  statement_timeout: duration,
  timezone: (value) => /^[A-Za-z0-9_+\-/:., <>]{1,255}$/.test(value),
  transaction_timeout: duration,
};

/**
 * The settings of a StartupMessage. Throws what the client is owed as a FATAL error: `not-supported` for replication
 * and for settings that are not passed on, `bad-parameter` for values, `unauthorized` without a user.
 */
export function startupSettings(
  message: StartupMessage,
  policy: StartupPolicy = startupPolicyDefault,
): StartupSettings {
  const reserved = new Map<string, string>();
  const unknown: string[] = [];
  const direct: (readonly [string, string])[] = [];
  for (const [name, value] of message.parameters) {
    if (name.startsWith('_pq_.')) unknown.push(name);
    else if (name === 'user' || name === 'database' || name === 'replication' || name === 'options') {
      reserved.set(name, value);
    } else direct.push([name, value]);
  }
  const user = truncateName(reserved.get('user') ?? '');
  if (user === '') {
    throw new HoldpointError('unauthorized', 'no PostgreSQL user name specified in startup packet');
  }
  checkReplication(reserved.get('replication'));
  // The server reads `options` first, so that a parameter of the same name wins over it.
  const settings = grantSettings([...readOptions(reserved.get('options') ?? ''), ...direct], policy);
  const negotiated = negotiate(message.minor, unknown);
  return { user, database: truncateName(reserved.get('database') ?? '') || user, settings, ...negotiated };
}

/**
 * `settings` for an agent that may only read: every transaction is READ ONLY from its first statement. Whatever the
 * client asked for is replaced, since the last of two values wins.
 */
export function readOnlySettings(
  settings: readonly (readonly [name: string, value: string])[],
): (readonly [name: string, value: string])[] {
  return [...settings.filter(([name]) => name !== readOnlySetting), [readOnlySetting, 'on']];
}

function grantSettings(
  asked: readonly (readonly [string, string])[],
  policy: StartupPolicy,
): (readonly [string, string])[] {
  const granted = new Map<string, string>();
  for (const [name, value] of asked) {
    const folded = foldName(name);
    if (checkPin(folded, value)) continue;
    const check = checkOf(folded, policy);
    // Only towards less: off would undo what a role or a database was made with.
    const widens = folded === readOnlySetting && parseBoolean(value) !== true;
    if (check === undefined || widens) throw notPassedOn(name);
    if (value.length > valueLengthMax || !check(value)) throw invalidValue(name, value);
    granted.set(folded, folded === 'application_name' ? cleanAscii(value) : value);
  }
  return [...granted, ...pins];
}

function checkOf(folded: string, policy: StartupPolicy): Check | undefined {
  if (folded === 'search_path' && !policy.searchPath) return undefined;
  if (policy.customSettings.has(folded)) return anyText;
  return Object.hasOwn(allowed, folded) ? allowed[folded] : undefined;
}

/** Whether the setting is one of our pins, asked for with the value it has anyway. */
function checkPin(folded: string, value: string): boolean {
  if (folded === 'client_encoding') {
    // The server compares encoding names without case and punctuation.
    const encoding = value.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
    if (encoding === 'utf8' || encoding === 'unicode') return true;
    throw new HoldpointError('bad-parameter', `client_encoding "${value}" is not supported: only UTF8 is`, {
      hint: 'Set client_encoding (PGCLIENTENCODING) to UTF8.',
    });
  }
  if (folded === 'standard_conforming_strings') {
    if (parseBoolean(value) === true) return true;
    throw new HoldpointError('not-supported', 'standard_conforming_strings can only be on', {
      hint: 'Leave the parameter out of the connection settings.',
    });
  }
  return false;
}

function checkReplication(value: string | undefined): void {
  if (value === undefined || parseBoolean(value) === false) return;
  if (value !== 'database' && parseBoolean(value) === undefined) throw invalidValue('replication', value);
  throw new HoldpointError('not-supported', 'replication connections are not supported', {
    hint: 'Connect without the parameter "replication".',
  });
}

/**
 * We speak 3.0 and 3.2; 3.1 is reserved and never spoken. A newer version or an option of the protocol is not an
 * error: the client is told what it can have.
 */
function negotiate(minor: number, unknown: string[]): Pick<StartupSettings, 'minor' | 'negotiate'> {
  const spoken = minor >= 2 ? 2 : 0;
  if (minor === spoken && unknown.length === 0) return { minor: spoken };
  return { minor: spoken, negotiate: { minor: spoken, unknown } };
}

/** The server's `parse_bool`: any unambiguous beginning of true, false, yes, no, on, off; 1 and 0. */
export function parseBoolean(value: string): boolean | undefined {
  const folded = value.toLowerCase();
  if (folded === '') return undefined;
  if (folded === '1' || 'true'.startsWith(folded) || 'yes'.startsWith(folded) || folded === 'on') return true;
  if (folded === '0' || 'false'.startsWith(folded) || 'no'.startsWith(folded)) return false;
  return folded === 'of' || folded === 'off' ? false : undefined;
}

/** Setting names are compared without case, and startup knows `-` for `_`. Only ASCII folds, as in the server. */
function foldName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()).replaceAll('-', '_');
}

/** The server cuts user and database names to 63 bytes; we never cut inside a character. */
function truncateName(name: string): string {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length <= nameBytesMax) return name;
  let end = nameBytesMax;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** As the server (16 and later) shows it: every byte that is not printable ASCII as `\xNN`. */
function cleanAscii(text: string): string {
  let clean = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const printable = byte >= 32 && byte < 127;
    clean += printable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return clean;
}

/** pg_catalog is searched first unless the path names it later: user functions would then take the builtins' place. */
function keepsBuiltinsFirst(path: string): boolean {
  const schemas = path.split(',').map((part) => part.trim().replaceAll('"', '').toLowerCase());
  return schemas.indexOf('pg_catalog') <= 0;
}

function oneOf(...values: string[]): Check {
  return (value) => values.includes(value.toLowerCase());
}

function invalidValue(name: string, value: string): HoldpointError {
  return new HoldpointError('bad-parameter', `invalid value for parameter "${name}": "${value}"`);
}

function notPassedOn(name: string): HoldpointError {
  return new HoldpointError(
    'not-supported',
    `startup parameter "${name}" cannot be set through this connection`,
    {
      hint: `Remove "${name}" from the connection settings.`,
    },
  );
}
