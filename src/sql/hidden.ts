// Hidden: a value in a syntax tree that nobody may look at unnoticed. What is found out about a tree whose values nobody
// looked at holds for every tree that differs in them alone. Knows no grammar.

import type { Tree } from './engine.ts';

const hidden = new WeakSet<object>();

/** The node; `seen` is called whenever anything of it is looked at, be it only what it has. */
export function hide(node: Tree, seen: () => void): Tree {
  const see =
    <Args extends unknown[], Result>(look: (...args: Args) => Result) =>
    (...args: Args): Result => {
      seen();
      return look(...args);
    };
  const proxy = new Proxy(node, {
    get: see(Reflect.get),
    has: see(Reflect.has),
    ownKeys: see(Reflect.ownKeys),
    getOwnPropertyDescriptor: see(Reflect.getOwnPropertyDescriptor),
    getPrototypeOf: see(Reflect.getPrototypeOf),
  } as ProxyHandler<Tree>);
  hidden.add(proxy);
  return proxy;
}

/** True if it is a value that is not to be looked at; to ask is not to look. */
export function isHidden(node: object): boolean {
  return hidden.has(node);
}
