import { expect, test } from 'vitest';
import { Analyzer } from '../../src/sql/parse.ts';
import type { Analysis } from '../../src/sql/statement.ts';

async function analyze(analyzer: Analyzer, sql: string | Buffer): Promise<Analysis> {
  return analyzer.analyze(typeof sql === 'string' ? Buffer.from(sql) : sql);
}

function codeOf(analysis: Analysis): string {
  return analysis.kind === 'refused' ? analysis.code : analysis.kind;
}

async function withAnalyzer(use: (analyzer: Analyzer) => Promise<void>, options = {}): Promise<void> {
  const analyzer = await Analyzer.load(options);
  try {
    await use(analyzer);
  } finally {
    await analyzer.close();
  }
}

test('a syntax error has the message and the position of the server, in characters', () =>
  withAnalyzer(async (analyzer) => {
    // PostgreSQL 18: select 'é€' fro m x y → syntax error at or near "m", position 17.
    expect(await analyze(analyzer, "select 'é€' fro m x y")).toEqual({
      kind: 'syntax',
      message: 'syntax error at or near "m"',
      position: 17,
    });
    expect(codeOf(await analyze(analyzer, '\ufeffselect 1'))).toBe('syntax');
  }));

test('what the server refuses before its parser is refused in its words', () =>
  withAnalyzer(async (analyzer) => {
    expect(await analyze(analyzer, 'select 1\0; drop table t')).toEqual({
      kind: 'refused',
      code: 'protocol-violation',
      message: 'invalid message format',
    });
    const invalid: [number[], string][] = [
      [[0x27, 0xc0, 0xa7, 0x27], '0xc0 0xa7'],
      [[0x27, 0xed, 0xa0, 0x80, 0x27], '0xed 0xa0 0x80'],
      [[0x27, 0xe2, 0x82], '0xe2 0x82'],
      [[0x27, 0xff, 0x27], '0xff'],
    ];
    for (const [bytes, spelled] of invalid) {
      expect(await analyze(analyzer, Buffer.from(bytes))).toEqual({
        kind: 'refused',
        code: 'bad-encoding',
        message: `invalid byte sequence for encoding "UTF8": ${spelled}`,
      });
    }
  }));

test('a text over the limit is refused unread, and not taken for the empty one in the cache', () =>
  withAnalyzer(async (analyzer) => {
    expect(codeOf(await analyze(analyzer, ''))).toBe('statements');
    expect(codeOf(await analyze(analyzer, Buffer.alloc(17 * 1024 * 1024, 0x20)))).toBe('too-large');
    expect(codeOf(await analyze(analyzer, 'drop table t'))).toBe('statements');
  }));

test('runs of operators that would take the scanner quadratic time are refused at once', () =>
  withAnalyzer(async (analyzer) => {
    for (const run of ['/*', '/*/', '+-', '+', '*/*+/*']) {
      const text = Buffer.from(`select ${run.repeat(Math.ceil(524_288 / run.length))}1`);
      const answer = analyzer.analyze(text);
      // Not a promise: it never reached a thread.
      expect(answer).toMatchObject({ kind: 'refused', code: 'too-complex' });
    }
    expect(codeOf(await analyze(analyzer, `-- ${'='.repeat(5000)}\nselect 1`))).toBe('statements');
    expect(codeOf(await analyze(analyzer, `/*${'*'.repeat(5000)}*/ select 1`))).toBe('statements');
  }));

test('nothing that breaks an instance of the parser breaks the next statement', { timeout: 60_000 }, () =>
  withAnalyzer(async (analyzer) => {
    const texts = [
      `select ${'('.repeat(100_000)}1${')'.repeat(100_000)}`,
      `select 1${' union select 1'.repeat(100_000)}`,
      `select 1${'+1'.repeat(60_000)}`,
      `select ${'not '.repeat(100_000)}true`,
    ];
    for (const text of texts) {
      expect(codeOf(await analyze(analyzer, text))).toBe('too-complex');
      expect(codeOf(await analyze(analyzer, 'select 1'))).toBe('statements');
    }
  }),
);

test('thirty expressions of 12,000 terms leave the analyzer whole', { timeout: 60_000 }, () =>
  withAnalyzer(async (analyzer) => {
    for (let count = 0; count < 30; count += 1) {
      const analysis = await analyze(analyzer, `select ${count}${'+1'.repeat(12_000)}`);
      expect(['statements', 'too-complex']).toContain(codeOf(analysis));
    }
    expect(codeOf(await analyze(analyzer, 'drop table t'))).toBe('statements');
  }),
);

test(
  'a broken instance on this thread is replaced, and small texts are answered meanwhile',
  { timeout: 60_000 },
  () =>
    withAnalyzer(
      async (analyzer) => {
        // Large enough to overflow the stack of this thread, which the limit would send to another.
        expect(codeOf(await analyze(analyzer, `select 1${'+1'.repeat(60_000)}`))).toBe('too-complex');
        expect(analyzer.stats.broken).toBe(1);
        expect(analyzer.analyze(Buffer.from('select 2'))).toBeInstanceOf(Promise);
        expect(codeOf(await analyze(analyzer, 'select 3'))).toBe('statements');
      },
      { inlineBytesMax: 1024 * 1024 },
    ),
);

test('a large text is analyzed on another thread', { timeout: 60_000 }, () =>
  withAnalyzer(async (analyzer) => {
    const rows = Array.from({ length: 5000 }, (_, index) => `(${index}, 'name ${index}')`);
    const answer = analyzer.analyze(Buffer.from(`insert into t values ${rows.join(',')}`));
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toMatchObject({ kind: 'statements', statements: [{ effects: ['insert', 'read'] }] });
    expect(analyzer.stats.large).toBe(1);
  }),
);

test('a text that takes longer than its time is given up, and its thread replaced', { timeout: 60_000 }, () =>
  withAnalyzer(
    async (analyzer) => {
      const rows = Array.from({ length: 100_000 }, (_, index) => `(${index})`).join(',');
      expect(codeOf(await analyze(analyzer, `insert into t values ${rows}`))).toBe('too-complex');
      expect(codeOf(await analyze(analyzer, 'select 1'))).toBe('statements');
    },
    { parseMs: 1 },
  ),
);

test('the same bytes are parsed once, and other bytes again', () =>
  withAnalyzer(async (analyzer) => {
    const first = await analyze(analyzer, 'select 1');
    expect(await analyze(analyzer, 'select 1')).toBe(first);
    expect(await analyze(analyzer, 'select  1')).not.toBe(first);
    expect(analyzer.stats).toMatchObject({ hits: 1, misses: 2 });
  }));

test('the cache keeps no view of the bytes it was given', () =>
  withAnalyzer(async (analyzer) => {
    const bytes = Buffer.from('select 1    ');
    await analyze(analyzer, bytes);
    bytes.write('drop table t');
    expect(await analyze(analyzer, bytes)).toMatchObject({ statements: [{ command: 'DROP TABLE' }] });
  }));

test('the cache forgets what was not asked for again, within its bytes', () =>
  withAnalyzer(
    async (analyzer) => {
      for (let count = 0; count < 200; count += 1) {
        await analyze(analyzer, `select ${count}`);
        await analyze(analyzer, 'select 1000');
      }
      expect(analyzer.stats.misses).toBe(201);
      await analyze(analyzer, 'select 0');
      expect(analyzer.stats.misses).toBe(202);
    },
    { cacheBytesMax: 64 * 1024 },
  ));
