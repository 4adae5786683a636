// The table that a bench reads from.

import pg from 'pg';

/** Makes `accounts` with so many rows, found by `aid`, in the database of that URL. */
export async function makeAccounts(connectionString: string, rows: number): Promise<void> {
  const owner = new pg.Client({ connectionString });
  await owner.connect();
  await owner.query(
    `CREATE TABLE accounts AS SELECT aid, 0 AS abalance FROM generate_series(1, ${rows}) aid; ALTER TABLE accounts ADD PRIMARY KEY (aid)`,
  );
  await owner.end();
}
