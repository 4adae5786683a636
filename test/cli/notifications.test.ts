import { expect, test } from 'vitest';
import { slackPeople } from '../../src/cli/notifications.ts';
import { gate } from '../support/approvals.ts';

const approver = (name: string, retiredAt?: number) => ({
  name,
  slack: [{ team: 'T0SHOP', user: `U${name.toUpperCase()}` }],
  retiredAt,
});

function told(change: Parameters<typeof gate>[0] = {}): string[] {
  const registry = {
    approvers: () => [
      approver('ann'),
      approver('bob'),
      approver('old', 1),
      { ...approver('keyed'), slack: [] },
    ],
  };
  return slackPeople(registry, gate(change).request).map(({ name, user }) => `${name} ${user}`);
}

test('approvers who are known in Slack get a link; not those who were retired or are not there', () => {
  expect(told()).toEqual(['ann UANN', 'bob UBOB']);
});

test('neither the people behind the agent nor those who do not count for the request get one', () => {
  expect(told({ agent: { id: 'claude', auth: 'scram-sha-256', obo: ['Ann'] } })).toEqual(['bob UBOB']);
  expect(told({ need: { level: 'key', quorum: 1, of: ['ANN', 'carol'] } })).toEqual(['ann UANN']);
});
