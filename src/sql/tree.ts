// Tree: how to read libpg-query's JSON. A field is a scalar, a node behind a wrapper (`{ RangeVar: { … } }`), a list of
// such nodes, or a node of a fixed type without wrapper. Knows shapes and no meaning.

import type { Tree } from './engine.ts';
import { isHidden } from './hidden.ts';
import { nodesData } from './nodes-data.ts';

/** Of each node type: its fields; the value is undefined for a scalar, '*' for nodes, else the type of a bare node. */
const nodeFields = new Map<string, ReadonlyMap<string, string | undefined>>();
for (const [type, text] of Object.entries(nodesData)) {
  const fields = new Map<string, string | undefined>();
  for (const word of text.split(' ')) {
    if (word === '') continue;
    if (word.endsWith('*')) fields.set(word.slice(0, -1), '*');
    else {
      const [name = '', bare] = word.split(':');
      fields.set(name, bare);
    }
  }
  nodeFields.set(type, fields);
}

/** A node of the tree with its type. `field` is the field of the parent that it stands in. */
export interface Child {
  readonly type: string;
  readonly node: Tree;
  readonly field: string;
}

/** What `childrenOf` reports of a tree that has a shape it does not know. */
export const unknownType = '?';

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** All nodes directly below. A field or shape that is not known comes as a child of type `unknownType`, without any below. */
export function childrenOf(type: string, node: Tree): Child[] {
  const fields = nodeFields.get(type);
  const children: Child[] = [];
  // The walk has no entry for such a type either and says so; what is below it does not matter any more.
  if (fields === undefined) return children;
  for (const field in node) {
    const value = node[field];
    const shape = fields.get(field);
    if (shape === undefined) {
      // A scalar must not carry a subtree past the walk.
      if (!fields.has(field) || (typeof value === 'object' && !isScalarList(value))) {
        children.push({ type: unknownType, node: {}, field });
      }
    } else if (shape === '*') addNodes(children, field, value);
    else addBare(children, field, shape, value);
  }
  return children;
}

function isScalarList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item !== 'object');
}

function addNodes(children: Child[], field: string, value: unknown): void {
  for (const item of Array.isArray(value) ? value : [value]) {
    const child = unwrap(item);
    // An empty object is a NULL in a list, as for a function without column definitions.
    if (child === undefined) continue;
    children.push({ ...child, field });
  }
}

function addBare(children: Child[], field: string, type: string, value: unknown): void {
  for (const item of Array.isArray(value) ? value : [value]) {
    // There is nothing below a value, which was made sure of when it was hidden.
    if (isTree(item) && isHidden(item)) continue;
    if (isTree(item)) children.push({ type, node: item, field });
    else children.push({ type: unknownType, node: {}, field });
  }
}

/** The node behind a wrapper; undefined for the empty object. */
export function unwrap(value: unknown): { type: string; node: Tree } | undefined {
  if (!isTree(value)) return { type: unknownType, node: {} };
  const keys = Object.keys(value);
  if (keys.length === 0) return undefined;
  const type = keys[0] ?? unknownType;
  const node = value[type];
  if (keys.length !== 1 || !isTree(node)) return { type: unknownType, node: {} };
  return { type, node };
}

/** A bare node or the node behind a wrapper of the given type; undefined if it is something else or absent. */
export function nodeAt(node: Tree, field: string, type?: string): Tree | undefined {
  const value = node[field];
  if (!isTree(value)) return undefined;
  if (type === undefined) return value;
  const inner = value[type];
  return isTree(inner) ? inner : undefined;
}

export function listAt(node: Tree, field: string): readonly unknown[] {
  const value = node[field];
  return Array.isArray(value) ? value : [];
}

/** The nodes of a list, without their wrappers; what is none is left out. */
export function nodesAt(node: Tree, field: string): Tree[] {
  return listAt(node, field).flatMap((item) => {
    const child = unwrap(item);
    return child === undefined ? [] : [child.node];
  });
}

export function textAt(node: Tree, field: string): string | undefined {
  const value = node[field];
  return typeof value === 'string' ? value : undefined;
}

/** The parts of a possibly qualified name, a list of String nodes; a star or an index leaves undefined in its place. */
export function nameParts(list: readonly unknown[]): (string | undefined)[] {
  return list.map((item) => {
    const child = unwrap(item);
    if (child?.type === 'List') return undefined;
    return child?.type === 'String' ? (textAt(child.node, 'sval') ?? '') : undefined;
  });
}

/** Schema and name of a qualified name; a database before the schema is left out, as the server allows only its own. */
export function qualified(list: readonly unknown[]): { schema: string | undefined; name: string } {
  const parts = nameParts(list);
  return { schema: parts.at(-2), name: parts.at(-1) ?? '' };
}

/** True if two pieces of a tree say the same, wherever in the text they stand. Values are looked at last. */
export function areSame(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return one === other;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const members = membersOf(one);
  if (members.length !== membersOf(other).length || !members.every((name) => name in other)) return false;
  return members.every((name) => areSame((one as Tree)[name], (other as Tree)[name]));
}

function membersOf(value: object): string[] {
  return Object.keys(value).filter((name) => name !== 'location');
}

/** The text of a constant: string, number or boolean; undefined for anything else, NULL included. */
export function constantText(value: unknown): string | undefined {
  const child = unwrap(value);
  if (child === undefined) return undefined;
  const { type, node } = child;
  if (type === 'String') return textAt(node, 'sval') ?? '';
  if (type === 'Integer') return String(node.ival ?? 0);
  if (type === 'Float') return textAt(node, 'fval');
  if (type === 'Boolean') return String(node.boolval ?? false);
  if (type !== 'A_Const' || node.isnull === true) return undefined;
  const { sval, ival, fval, boolval } = node as Record<string, Tree | undefined>;
  if (sval !== undefined) return textAt(sval, 'sval') ?? '';
  if (ival !== undefined) return String(ival.ival ?? 0);
  if (fval !== undefined) return textAt(fval, 'fval');
  if (boolval !== undefined) return String(boolval.boolval ?? false);
  return undefined;
}
