// Fixture: a snapshot written down by hand, for what no server of the tests has: other versions, libraries and labels.

import type {
  FunctionObject,
  OperatorObject,
  References,
  RelationObject,
  Snapshot,
  TypeObject,
} from '../../src/catalog/snapshot.ts';

export const nothing: References = { functions: [], operators: [], types: [], relations: [] };

let oid = 20_000;

type Given<T> = Partial<T> & { readonly name: string };

export function fn(given: Given<FunctionObject>): FunctionObject {
  oid += 1;
  return {
    oid,
    version: '1',
    schema: 'public',
    kind: 'function',
    language: 'sql',
    body: 'SELECT 1',
    library: undefined,
    extension: undefined,
    compiled: undefined,
    parts: nothing,
    argsMin: 0,
    argsMax: 0,
    argTypes: [],
    parameters: [],
    resultType: 23,
    returnsSet: false,
    settings: [],
    definer: false,
    ofRow: false,
    ...given,
  };
}

export function relation(given: Given<RelationObject>): RelationObject {
  oid += 1;
  return {
    oid,
    version: '1',
    schema: 'public',
    kind: 'r',
    columns: [],
    onRead: nothing,
    onWrite: nothing,
    onPlan: nothing,
    defaults: nothing,
    policies: nothing,
    generated: [],
    types: [],
    rowType: 0,
    children: [],
    partitioned: false,
    triggers: [],
    rules: [],
    referencedBy: [],
    uniques: [],
    ...given,
  };
}

export function type(given: Given<TypeObject>): TypeObject {
  oid += 1;
  return {
    oid,
    version: '1',
    schema: 'public',
    kind: 'b',
    parts: [],
    checks: nothing,
    defaults: nothing,
    functions: [],
    implicitFrom: [],
    ...given,
  };
}

export function operator(given: Given<OperatorObject>): OperatorObject {
  oid += 1;
  return { oid, version: '1', schema: 'public', left: 23, right: 23, result: 23, functions: [], ...given };
}

export interface Objects {
  readonly functions?: readonly FunctionObject[];
  readonly relations?: readonly RelationObject[];
  readonly types?: readonly TypeObject[];
  readonly operators?: readonly OperatorObject[];
}

export function snapshot(objects: Objects, facts: Partial<Snapshot> = {}): Snapshot {
  const { functions = [], relations = [], types = [], operators = [] } = objects;
  const byOid =
    <T extends { oid: number }>(list: readonly T[]) =>
    (wanted: number) =>
      list.find((object) => object.oid === wanted);
  const byName =
    <T extends { name: string }>(list: readonly T[]) =>
    (wanted: string) =>
      list.filter((object) => object.name === wanted);
  return {
    epoch: '1',
    serverVersion: 18,
    role: { name: 'agent', superuser: false, powers: [] },
    searchPath: ['public'],
    temporaryNames: new Set(),
    everywhere: nothing,
    onDefine: nothing,
    function: byOid(functions),
    functionsNamed: byName(functions),
    builtin: () => undefined,
    relation: byOid(relations),
    relationsNamed: byName(relations),
    relations: () => relations,
    type: byOid(types),
    typesNamed: byName(types),
    types: () => types,
    typesOver: () => [],
    operator: byOid(operators),
    operatorsNamed: byName(operators),
    ...facts,
  };
}
