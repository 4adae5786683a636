// OTLP: records as log records over OTLP/HTTP with JSON. By hand: the format is one small document, and the packages
// that speak it bring an SDK whose pipeline knows neither our cursor nor at-least-once.
// Source: OpenTelemetry Protocol 1.x, "OTLP/HTTP" (retryable codes, Retry-After, partial success) and logs.proto.

import type { Entry } from './feed.ts';
import type { Delivered, Destination } from './follower.ts';
import { type Outline, outlineOf } from './outline.ts';
import { RetryLater } from './retry.ts';
import type { OtlpSettings, Sender } from './settings.ts';

/** severity_number of logs.proto. */
const severities = { info: 9, notice: 10, warning: 13, error: 17 } as const;
/** The answer is small; more of it is not read. */
const answerBytesMax = 65_536;
const retryable = new Set([429, 502, 503, 504]);

/** Sends to `settings.url`. */
export function otlpDestination(
  settings: OtlpSettings,
  resource: Sender & { readonly version: string },
): Destination {
  const post = async (records: readonly Entry[], signal: AbortSignal): Promise<Delivered> => {
    const body = JSON.stringify(exportOf(records, resource));
    const response = await fetch(settings.url, {
      method: 'POST',
      headers: { ...settings.headers, 'content-type': 'application/json' },
      body,
      signal,
      redirect: 'error',
    });
    const answer = await textOf(response);
    if (!response.ok) throw refusal(response, answer);
    // What it rejects it would reject again, and the protocol forbids to send it again.
    const { count, message } = rejectedOf(answer);
    return { bytes: Buffer.byteLength(body), refused: count, why: message };
  };
  /** Where a batch is refused for what is in it, its halves are tried, so that one record cannot stop all others. */
  const deliver = async (records: readonly Entry[], signal: AbortSignal): Promise<Delivered> => {
    try {
      return await post(records, signal);
    } catch (error) {
      if (!(error instanceof BadContent)) throw error;
      if (records.length === 1) return { bytes: 0, refused: 1, why: error.message };
      const half = Math.ceil(records.length / 2);
      const first = await deliver(records.slice(0, half), signal);
      const second = await deliver(records.slice(half), signal);
      const refused = first.refused + second.refused;
      return { bytes: first.bytes + second.bytes, refused, why: first.why ?? second.why };
    }
  };
  return {
    place: settings.url,
    async deliver(records, signal) {
      const delivered = await deliver(records, signal);
      // It will have none of them: then it is not what is in them.
      if (delivered.bytes === 0) throw new Error(delivered.why);
      return delivered;
    },
    close() {},
  };
}

/** The collector finds fault with the content itself. */
class BadContent extends Error {}

function exportOf(records: readonly Entry[], resource: Sender & { readonly version: string }): object {
  return {
    resourceLogs: [
      {
        resource: {
          attributes: attributes({
            'service.name': 'holdpoint',
            'service.version': resource.version,
            'service.instance.id': resource.origin,
            'host.name': resource.host,
          }),
        },
        scopeLogs: [
          {
            scope: { name: 'holdpoint.audit', version: '1' },
            logRecords: records.map((entry) => logRecord(outlineOf(entry, resource.isClear))),
          },
        ],
      },
    ],
  };
}

function logRecord({ seq, leaf, kind, ts, severity, text, attributes: more }: Outline): object {
  return {
    // Integers of 64 bits are strings in protobuf's JSON.
    timeUnixNano: `${ts}000`,
    observedTimeUnixNano: `${ts}000`,
    severityNumber: severities[severity],
    severityText: severity.toUpperCase(),
    eventName: `holdpoint.${kind}`,
    body: { stringValue: text },
    attributes: attributes({
      'holdpoint.seq': seq,
      'holdpoint.leaf': leaf,
      'holdpoint.kind': kind,
      ...Object.fromEntries(Object.entries(more).map(([name, value]) => [`holdpoint.${name}`, value])),
    }),
  };
}

function attributes(of: Readonly<Record<string, string | number | boolean>>): object[] {
  return Object.entries(of).map(([key, value]) => ({
    key,
    value:
      typeof value === 'string'
        ? { stringValue: value }
        : typeof value === 'boolean'
          ? { boolValue: value }
          : { intValue: String(value) },
  }));
}

function refusal(response: Response, answer: string): Error {
  const { status, headers } = response;
  const message = `the collector answered ${status} ${answer.replace(/\s+/g, ' ').slice(0, 200)}`.trim();
  if (status === 400 || status === 413) return new BadContent(message);
  const after = headers.get('retry-after');
  if (!retryable.has(status) || after === null) return new Error(message);
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? new RetryLater(message, Math.max(0, seconds * 1000)) : new Error(message);
}

function rejectedOf(answer: string): { count: number; message: string | undefined } {
  try {
    const { partialSuccess } = JSON.parse(answer) as {
      partialSuccess?: { rejectedLogRecords?: string | number; errorMessage?: string };
    };
    const count = Number(partialSuccess?.rejectedLogRecords ?? 0);
    return { count: count > 0 ? count : 0, message: partialSuccess?.errorMessage?.slice(0, 200) };
  } catch {
    // An empty body is a whole success, too.
    return { count: 0, message: undefined };
  }
}

async function textOf(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > answerBytesMax) break;
  }
  return text;
}
