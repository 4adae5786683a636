// Entry: one relation that a statement of the text touches, while its figures are found out. Types only.

import type { TouchedRelation } from '../approval/effect.ts';
import type { Aim } from '../sql/aim.ts';
import type { Values } from './counter.ts';
import type { Found } from './relations.ts';

/** One aim of a text, with the values of the text and the number of its statement, where there are several. */
export interface Task {
  readonly aim: Aim;
  readonly values: Values;
  readonly statement: number | undefined;
}

export interface Entry extends Task {
  /** What is told of it, filled while it is measured. */
  readonly shown: TouchedRelation;
  readonly found: Found;
  /** Without what inherits from it. */
  readonly only: boolean;
}
