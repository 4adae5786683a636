// What the whole run shares: one PostgreSQL 18. Vitest calls this once before the first test file and once at the end.

import type { TestProject } from 'vitest/node';
import { startShared } from './postgres.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { context, stop } = await startShared();
  project.provide('sharedPostgres', context);
  return stop;
}
