// Scripts: what one client sends, by seed and index alone. A script is a few steps on one session: texts by the simple
// protocol, and pipelines of the extended one with names, parameters, portals and errors in between. Nothing here knows
// how the guard will judge any of it.

import { type Chance, chanceOf } from './chance.ts';
import { everyday, session } from './commands.ts';
import { fill, type Place, query, trap } from './phrases.ts';
import { type Mood, statement } from './statements.ts';

/** A frame in words, for printing as well as for sending. */
export type FrameText =
  | readonly ['Q', sql: string]
  | readonly ['P', name: string, sql: string, types?: readonly string[]]
  | readonly ['B', portal: string, name: string, values: readonly (string | null)[]]
  | readonly ['D', kind: 'S' | 'P', name: string]
  | readonly ['E', portal: string, rowsMax: number]
  | readonly ['C', kind: 'S' | 'P', name: string]
  | readonly ['H']
  | readonly ['S'];

/** Frames that are sent at once; each Q and each S is answered by one ReadyForQuery. */
export type Step = readonly FrameText[];

export interface Script {
  readonly seed: number;
  readonly index: number;
  readonly steps: readonly Step[];
}

/** Scripts per mood: half of them write nothing, a few are without a trap at all. */
const moods: readonly Mood[] = [
  { traps: 0.1, writes: false },
  { traps: 0.07, writes: true },
  { traps: 0.25, writes: false },
  { traps: 0, writes: true },
];

/** How many scripts in a row are of one mood. */
export const moodScripts = 64;

/** The mood of a script; it goes by the index alone, so that whole batches are of one. */
export function moodOf(index: number): Mood {
  return moods[Math.floor(index / moodScripts) % moods.length]!;
}

/** The script of that seed and index: always the same. */
export function script(seed: number, index: number): Script {
  const chance = chanceOf(seed, index);
  const mood = moodOf(index);
  return { seed, index, steps: chance.weighted(shapes)(chance, mood) };
}

function placeOf(chance: Chance, mood: Mood, parameters?: string[]): Place {
  return { chance, traps: mood.traps, columns: [], depth: 0, ...(parameters && { parameters }) };
}

const text = (chance: Chance, mood: Mood): string => statement(placeOf(chance, mood), mood);

type Shape = (chance: Chance, mood: Mood) => Step[];

const simple: Shape = (chance, mood) => [[['Q', text(chance, mood)]]];

/** One statement by the extended protocol, with parameters. */
const extended: Shape = (chance, mood) => {
  const parameters: string[] = [];
  const sql = statement(placeOf(chance, mood, parameters), mood);
  const rows = chance.is(0.1) ? 1 : 0;
  const run: FrameText[] = [
    ['P', '', sql],
    ['B', '', '', parameters],
    ...(chance.is(0.5) ? [['D', 'P', ''] as const] : []),
    ['E', '', rows],
    ...(rows > 0 ? [['E', '', 0] as const] : []),
    ['S'],
  ];
  return [run];
};

/** Types that a Parse may declare, by name. */
export const declarable = [
  'dm',
  'ct',
  'mood',
  'dm_calm',
  'weight',
  'integer',
  'text',
  'dm[]',
  'victims',
  'date',
];
const declaredValues = ['5', '(3,x)', 'ok', '{1,2}', '2026-01-01', '(1,a,2,v)', null];

/** Types that the Parse itself declares: a domain's CHECK runs as soon as a value is bound. */
const declared: Shape = (chance, mood) => {
  const type = mood.traps > 0 ? chance.of(declarable) : 'integer';
  const sql = chance.of([
    'SELECT $1',
    'SELECT $1 IS NULL',
    'SELECT $1::text',
    'VALUES ($1)',
    'SELECT $1 AS a FROM victims LIMIT 1',
  ]);
  const run: FrameText[] = [
    ['B', '', 's', [chance.of(declaredValues)]],
    ['E', '', 0],
  ];
  const parsed: FrameText = ['P', 's', sql, [type]];
  return chance.is(0.5)
    ? [[parsed, ['H'], ...run, ['S']]]
    : [
        [parsed, ['D', 'S', 's'], ['S']],
        [...run, ['S']],
      ];
};

/** Parsed and described first, as drivers do, then bound several times. */
const prepared: Shape = (chance, mood) => {
  const parameters: string[] = [];
  const sql = statement(placeOf(chance, mood, parameters), mood);
  const name = chance.of(['s', 'p', 'from_plpgsql', '']);
  const again: FrameText[] = [['B', '', name, parameters], ['E', '', 0], ['S']];
  const close: FrameText[] = [['C', 'S', name], ['S']];
  const steps: Step[] = [[['P', name, sql], ['D', 'S', name], ['S']], again];
  if (chance.is(0.4)) steps.push(again);
  if (chance.is(0.2)) steps.push([['Q', `EXECUTE ${name || 's'}`]]);
  if (chance.is(0.3)) steps.push(close);
  return steps;
};

/** One name, two texts: what runs is what the server kept, not what was sent last. */
const renamed: Shape = (chance, mood) => {
  const name = chance.of(['s', '']);
  const first: FrameText = ['P', name, text(chance, mood)];
  const second: FrameText = ['P', name, query(placeOf(chance, { ...mood, traps: 0 }))];
  const run: FrameText[] = [['B', '', name, []], ['E', '', 0], ['S']];
  return chance.of<() => Step[]>([
    () => [[first, ['S']], [second, ['S']], run],
    () => [[first, ['S'], second, ...run]],
    () => [[first, ['S'], ['P', 'x', 'SELECT 1/0'], ['B', '', 'x', []], ['E', '', 0], second, ['S'], ...run]],
    () => [[second, first, ...run]],
    () => [[first, ['S'], ['C', 'S', name], second, ...run]],
    () => [
      [['Q', `PREPARE s AS ${first[2]}`]],
      [['P', 's', second[2] as string], ['S'], ['B', '', 's', []], ['E', '', 0], ['S']],
    ],
  ])();
};

/** Several statements before one Sync, perhaps with an error among them. */
const pipeline: Shape = (chance, mood) => {
  const frames = chance.several<FrameText[]>(2, 4, () => [
    ['P', '', chance.is(0.1) ? 'SELECT 1/0' : text(chance, mood)],
    ['B', '', '', []],
    ['E', '', 0],
    ...(chance.is(0.15) ? [['S'] as const] : []),
  ]);
  return [[...frames.flat(), ['S']]];
};

const transaction: Shape = (chance, mood) => [
  [
    [
      'Q',
      chance.of(['BEGIN', 'BEGIN', 'BEGIN READ ONLY', 'START TRANSACTION ISOLATION LEVEL REPEATABLE READ']),
    ],
  ],
  ...chance.several<Step>(1, 4, () => [
    [
      'Q',
      chance.is(0.2)
        ? chance.of(['SAVEPOINT a', 'ROLLBACK TO a', 'RELEASE a', 'COMMIT'])
        : text(chance, mood),
    ],
  ]),
  [['Q', chance.of(['COMMIT', 'COMMIT', 'ROLLBACK'])]],
];

/** PREPARE and DECLARE in one message, EXECUTE and FETCH in the next; also what plpgsql prepared. */
const named: Shape = (chance, mood) => {
  const sql = chance.is(0.5) ? query(placeOf(chance, mood)) : text(chance, mood);
  return chance.of<() => Step[]>([
    () => [[['Q', `PREPARE p AS ${sql}`]], [['Q', 'EXECUTE p']], [['Q', 'EXPLAIN ANALYZE EXECUTE p']]],
    () => [[['Q', `PREPARE p (int) AS ${sql}`]], [['Q', `EXECUTE p(${chance.below(50)})`]]],
    () => [[['Q', `PREPARE p AS ${sql}`]], [['B', '', 'p', []], ['E', '', 0], ['S']]],
    () => [
      [['Q', `BEGIN; DECLARE c CURSOR FOR ${sql}`]],
      [['Q', 'FETCH 2 FROM c']],
      [['Q', 'MOVE ALL IN c']],
      [['Q', 'COMMIT']],
    ],
    () => [[['Q', `DECLARE c CURSOR WITH HOLD FOR ${sql}`]], [['Q', 'FETCH ALL FROM c']], [['Q', 'CLOSE c']]],
    () => [
      [['Q', `SELECT ${trap(placeOf(chance, mood), 'int')}`]],
      [['Q', chance.of(['EXECUTE from_plpgsql', 'EXECUTE seems_select(1)', 'EXECUTE by_do'])]],
    ],
    () => [[['P', 'q', sql], ['B', 'c', 'q', []], ['S']], [['Q', 'FETCH ALL FROM c']]],
    () => [
      [['Q', 'BEGIN']],
      [['P', '', sql], ['B', 'c', '', []], ['E', 'c', 1], ['S']],
      [['E', 'c', 0], ['S']],
      [['Q', 'FETCH 1 FROM c']],
      [['Q', 'COMMIT']],
    ],
  ])();
};

/** Settings and temporary objects that change what a later text means. */
const sessionful: Shape = (chance, mood) => [
  ...chance.several<Step>(1, 3, () => [['Q', fill(placeOf(chance, mood), chance.of(session))]]),
  ...chance.several<Step>(1, 2, () => [['Q', text(chance, mood)]]),
];

/** Several messages at once, without waiting for any answer. */
const hurried: Shape = (chance, mood) => [
  chance.several<FrameText>(2, 4, () => ['Q', chance.is(0.3) ? chance.of(session) : text(chance, mood)]),
];

/** What applications do: read, write by key, read again. */
const ordinary: Shape = (chance, mood) => {
  const place = placeOf(chance, { ...mood, traps: 0 });
  return chance.several<Step>(1, 3, () => [
    ['Q', fill(place, mood.writes ? chance.of(everyday) : query(place))],
  ]);
};

const shapes: readonly (readonly [number, Shape])[] = [
  [40, simple],
  [15, extended],
  [3, declared],
  [6, prepared],
  [4, renamed],
  [5, pipeline],
  [6, transaction],
  [5, named],
  [5, sessionful],
  [4, hurried],
  [6, ordinary],
];

/** A script as a person would want to read it. */
export function printed({ seed, index, steps }: Script): string {
  const lines = steps.map(
    (step) => `  ${step.map((frame) => frame.map((each) => JSON.stringify(each)).join(' ')).join('\n  + ')}`,
  );
  return `seed ${seed}, script ${index}\n${lines.join('\n')}`;
}
