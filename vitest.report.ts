// Where vitest reports: the terminal, and for .ci/run also the file that HOLDPOINT_TEST_REPORT names.

export function reporters(): (string | [string, { outputFile: string }])[] {
  const outputFile = process.env.HOLDPOINT_TEST_REPORT;
  return outputFile ? ['default', ['json', { outputFile }]] : ['default'];
}
