// The part of libpg-query that its own declarations leave out: the factory of WebAssembly instances.

declare module 'libpg-query/wasm/libpg-query.js' {
  /** A fresh instance with its own memory; the caller knows which exports it uses. */
  export default function PgQueryModule(): Promise<unknown>;
}
