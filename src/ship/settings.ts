// Settings: what the shipping thread is told, and what it tells. Plain data, because it goes from thread to thread.
// Types only.

import type { RedisAddress } from '../store-url.ts';
import type { BucketPlace, Lock } from './bucket.ts';

export interface SyslogSettings {
  readonly host: string;
  readonly port: number;
  readonly transport: 'tls' | 'tcp' | 'udp';
  /** PEM; undefined: the system's. */
  readonly ca: string | undefined;
  readonly facility: number;
  readonly enterprise: number;
}

export interface OtlpSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface StreamSettings {
  readonly address: RedisAddress;
  readonly lengthMax: number;
}

export interface S3Settings {
  readonly place: BucketPlace;
  /** Where in the bucket the logs are, without a slash at the end. */
  readonly prefix: string;
  readonly lock: Lock;
  readonly everyMs: number;
}

export type DestinationName = 's3' | 'otlp' | 'syslog' | 'redis';

/** Where a log goes. */
export interface ShipSettings {
  readonly s3?: S3Settings | undefined;
  readonly otlp?: OtlpSettings | undefined;
  readonly syslog?: SyslogSettings | undefined;
  readonly redis?: StreamSettings | undefined;
}

/** Whose log it is. */
export interface Sender {
  readonly origin: string;
  readonly host: string;
  /** The log keeps values in clear, so that its texts are not for others. */
  readonly isClear: boolean;
}

/** What the thread is started with. */
export interface ThreadData extends Sender {
  readonly settings: ShipSettings;
  /** The log's folder; and where cursors are kept. */
  readonly folder: string;
  readonly cursors: string;
  readonly version: string;
  /** Whether closed segments are compressed. */
  readonly packed: boolean;
  /** One number: how many records are sealed and on disk. */
  readonly durable: SharedArrayBuffer;
}

/** How one destination is. */
export interface DestinationState {
  readonly name: DestinationName;
  /** Records that are there. */
  readonly records: number;
  /** All segments before this one are there whole. */
  readonly segment: number;
  /** Age of the oldest record that is not there; 0 if all are. */
  readonly lagMs: number;
  readonly failures: number;
  readonly bytes: number;
  /** Why the last attempt failed; undefined while they do not. */
  readonly problem: string | undefined;
}

export type ToThread =
  | { readonly kind: 'keep'; readonly id: number; readonly size: number; readonly note: string }
  | { readonly kind: 'wake' }
  | { readonly kind: 'close'; readonly ms: number };

export type FromThread =
  | { readonly kind: 'states'; readonly states: readonly DestinationState[] }
  | { readonly kind: 'kept'; readonly id: number }
  | { readonly kind: 'missed'; readonly id: number; readonly why: string }
  | { readonly kind: 'said'; readonly name: DestinationName; readonly problem: string | undefined }
  | { readonly kind: 'lost'; readonly name: DestinationName; readonly from: number; readonly to: number }
  | {
      readonly kind: 'refused';
      readonly name: DestinationName;
      readonly records: number;
      readonly why: string;
    }
  | { readonly kind: 'closed' };
