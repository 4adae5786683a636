// The wire protocol's tricks (threats E) against a real server: nothing runs, and a bystander's session goes on. What ends
// a session (lengths, unknown types, NUL) is in hostile.test.ts, what is said before login in login.test.ts.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind, execute, parse, sync } from '../../../src/wire/messages/frontend.ts';
import { besiege, type Siege, withstands } from '../../support/siege.ts';
import { fixture } from './fixture.ts';
import { wireScripts } from './wire.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture });
});

afterAll(() => siege?.close());

test.each(wireScripts)('%s', async (...script) => {
  await withstands(siege, script);
});

test('E2 an approval of one Bind serves no other: other parameters are held again', async () => {
  const besieged = await besiege({ fixture });
  const guard = await besieged.patient();
  try {
    const client = await guard.connect();
    const deletes = (id: string): Buffer[] => [bind('', 'd', [Buffer.from(id)]), execute(''), sync()];
    client.send(parse('d', 'DELETE FROM t WHERE id = $1::int'), sync());
    await client.until('Z');
    client.send(...deletes('1'));
    const approved = await guard.approveNext();
    expect((await client.until('Z')).map(({ summary }) => summary)).toContain('DELETE 1');
    for (const id of ['2', '1']) {
      client.send(...deletes(id));
      const [again] = await guard.pending(1);
      expect(again!.id).not.toBe(approved);
      await guard.decide(again!.id, 'reject');
      expect((await client.until('Z')).find(({ letter }) => letter === 'E')?.summary).toContain('42501');
    }
    client.destroy();
    const { rows } = await besieged.direct.query('select count(*)::int as n from t');
    expect(rows[0].n).toBe(9);
  } finally {
    await besieged.close();
  }
});
