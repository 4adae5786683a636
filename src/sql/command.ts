// Command: what the entry of a statement in commands.ts and definitions.ts looks like. Types only.

import type { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import type { Access, Statement } from './statement.ts';

/** Fields the walk must leave out; how the relations that stand directly in the statement are used (`define`). */
export interface Outcome {
  readonly skip?: readonly string[];
  readonly access?: Access;
}

/** Walks a statement inside the statement with a draft of its own, and answers that draft and its command. */
export type WalkInner = (value: unknown) => { draft: Draft; statement: Statement };

/** `root`: the node is the statement itself, not a part of another one. */
export type Command = (draft: Draft, node: Tree, walkInner: WalkInner, root: boolean) => Outcome | undefined;
