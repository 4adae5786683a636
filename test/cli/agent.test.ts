// `holdpoint agent`: what a new credential says and what is kept of it, as JSON and as text.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addAgent, listAgents } from '../../src/cli/agent.ts';

let data: string;

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'holdpoint-agents-'));
});
afterEach(() => rmSync(data, { recursive: true }));

async function said(
  command: (output: { out(text: string): void; err(text: string): void }) => Promise<number>,
) {
  let text = '';
  const output = { out: (part: string) => (text += part), err: (part: string) => (text += part) };
  expect(await command(output)).toBe(0);
  return text;
}

test('an agent is read-write unless it is added as read-only, which the list says', async () => {
  const target = ['shop'];
  await said((output) => addAgent('writer', { data, target }, output));
  const added = await said((output) =>
    addAgent('reader', { data, target, readOnly: true, json: true }, output),
  );
  expect(JSON.parse(added)).toMatchObject({ name: 'reader', access: 'read-only' });
  expect(await said((output) => listAgents({ data }, output))).toBe(
    'writer  shop  in force\nreader  shop  in force, read-only\n',
  );
  const rows = JSON.parse(await said((output) => listAgents({ data, json: true }, output)));
  expect(rows.map(({ name, access }: { name: string; access: string }) => [name, access])).toEqual([
    ['writer', 'read-write'],
    ['reader', 'read-only'],
  ]);
});
