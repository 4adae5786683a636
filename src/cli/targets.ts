// Targets: what a start makes sure of before anybody may connect: each target leads to the server it means, has the
// certificates to know it by, and the operator is told what that server and its role put out of Holdpoint's sight. Refuses to know how either is found out.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AuditLog } from '../audit/log.ts';
import type { Config } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import { refuseForeign } from '../proxy/fitness.ts';
import type { Report, Target } from '../proxy/listener.ts';
import { surveyAll } from '../proxy/survey.ts';
import type { Admit } from '../proxy/upstream.ts';
import { ServerPins } from '../server-pins.ts';

/** How long a start waits for a target that does not answer; it is met at the first session instead. */
const answerMs = 3000;

/** Throws `bad-config` for a file of CA certificates that would fail only at the first connection. */
export function requireRootCerts(config: Config): void {
  for (const { name, address } of config.targets.values()) {
    const { sslRootCert, sslMode } = address;
    if (sslRootCert === undefined || sslRootCert === 'system' || sslMode === 'disable') continue;
    try {
      new X509Certificate(readFileSync(sslRootCert));
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const why = code === 'ENOENT' ? 'there is no such file' : message;
      throw new HoldpointError(
        'bad-config',
        `targets.${name}.url: the sslrootcert ${sslRootCert} cannot be used: ${why}; name a file of CA certificates in PEM, or system`,
        { cause },
      );
    }
  }
}

/** Who judges the server of a target, by the target's name. Throws `bad-config` if servers.json is broken. */
export async function admissions(config: Config, report: Report): Promise<(target: string) => Admit> {
  const pinned = new Map(
    [...config.targets.values()].map(({ name, environment, systemIdentifier, address }) => [
      name,
      { name, environment, systemIdentifier, database: address.database },
    ]),
  );
  const { dataDir } = config;
  const pins = await ServerPins.open({ dataDir, targets: [...pinned.values()], now: Date.now, report });
  return (name) => {
    const target = pinned.get(name)!;
    const { server } = config.targets.get(name)!;
    return async (identity) => {
      refuseForeign(name, identity.version, server);
      return pins.admit(target, identity);
    };
  };
}

/**
 * As `admit`, for Holdpoint's own connections: each is noted in the log before anything is asked over it, so that whoever
 * compares the log with the server's can tell them from what ran around Holdpoint.
 */
export function admittingOwn(target: string, admit: Admit, log: Pick<AuditLog, 'append'>): Admit {
  return async (identity, session) => {
    if (session !== undefined) log.append({ kind: 'own', target, server: session });
    return admit(identity, session);
  };
}

/** Looks at every target once and tells the operator what was found. Never rejects. */
export function meetTargets(targets: ReadonlyMap<string, Target>, report: Report): Promise<void> {
  return surveyAll(targets.values(), answerMs, (target, found) => {
    if ('warnings' in found) {
      for (const warning of found.warnings) report('warn', warning, { target });
      return;
    }
    const { error } = found;
    const refused = error instanceof HoldpointError && error.code === 'wrong-server';
    const message = refused ? 'the target is refused' : 'the target cannot be reached yet';
    report(refused ? 'error' : 'warn', message, { target, cause: causeOf(error) });
  });
}

function causeOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message : String(cause);
}
