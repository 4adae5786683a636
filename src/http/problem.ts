// Problem: an error as an HTTP answer, RFC 9457. Knows the error table; refuses to know what failed. What is not one of
// our own errors tells the outside nothing.

import { HoldpointError } from '../errors.ts';

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Who are you?',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'No longer possible',
  410: 'Expired',
  413: 'Too large',
  415: 'Wrong content type',
  429: 'Too many',
  500: 'Internal error',
  501: 'Not available yet',
  503: 'Not available now',
};

/** The answer for anything thrown. `headers` are added to it. */
export function problem(error: unknown, headers: Record<string, string> = {}): Response {
  if (error instanceof HoldpointError) {
    return problemOf(error.status, error.code, error.message, headers);
  }
  return problemOf(500, 'internal', 'something failed here; the log of the process says what', headers);
}

export function problemOf(
  status: number,
  code: string,
  detail: string,
  headers: Record<string, string> = {},
): Response {
  const body = {
    type: `urn:holdpoint:error:${code}`,
    title: titles[status] ?? 'Error',
    status,
    code,
    detail,
  };
  const challenge: Record<string, string> =
    status === 401 ? { 'WWW-Authenticate': 'Bearer realm="holdpoint"' } : {};
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, ...challenge, 'Content-Type': 'application/problem+json; charset=utf-8' },
  });
}
