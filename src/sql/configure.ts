// Configure: the three ways of a text to change a setting: SET and RESET, set_config(), an UPDATE of pg_settings.
// Finds name and value where they are constants; what the change does to the guard says settings.ts.

import type { Draft } from './draft.ts';
import type { Tree } from './engine.ts';
import { isSecretSetting } from './secrets.ts';
import type { SettingValue } from './settings.ts';
import { effectOfSetting, settingName } from './settings.ts';
import { constantText, listAt, nameParts, nodeAt, textAt, unwrap } from './tree.ts';

function changes(draft: Draft, rawName: string, value: SettingValue, local: boolean): void {
  const name = settingName(rawName);
  const effect = effectOfSetting(name, value);
  const why = effect === 'setting' || effect === 'custom-setting' ? undefined : `changes the setting ${name}`;
  draft.does(effect, why);
  draft.settings.push({ name, value: value.kind === 'constant' ? value.text : undefined, local });
  if (isSecretSetting(name) && value.kind !== 'default') draft.secret = true;
}

/** A SET or RESET, also as a clause of CREATE FUNCTION, ALTER ROLE, ALTER DATABASE and ALTER SYSTEM. */
export function setVariable(draft: Draft, node: Tree): void {
  const name = textAt(node, 'name') ?? '';
  const local = node.is_local === true;
  switch (textAt(node, 'kind')) {
    case 'VAR_SET_VALUE':
      changes(draft, name, listValue(listAt(node, 'args')), local);
      return;
    case 'VAR_SET_DEFAULT':
    case 'VAR_RESET':
      changes(draft, name, { kind: 'default' }, local);
      return;
    case 'VAR_SET_CURRENT':
      changes(draft, name, { kind: 'unknown' }, local);
      return;
    case 'VAR_RESET_ALL':
      // Role and session authorization stay as they are; everything else goes back to what the connection began with.
      draft.does('setting');
      return;
    case 'VAR_SET_MULTI':
      setTransaction(draft, node, name);
      return;
    default:
      draft.does('unknown', 'changes settings in a way that is not understood');
  }
}

/** SET TRANSACTION and SET SESSION CHARACTERISTICS. Lifting a read-only mode takes a guard down. */
function setTransaction(draft: Draft, node: Tree, name: string): void {
  draft.does('transaction');
  const session = name === 'SESSION CHARACTERISTICS';
  if (session) draft.does('setting');
  for (const value of readOnlyOptions(listAt(node, 'args'))) {
    changes(draft, session ? 'default_transaction_read_only' : 'transaction_read_only', value, !session);
  }
}

/** BEGIN and START TRANSACTION: everybody may choose the mode anew, but for whom every transaction is read-only. */
export function beginsTransaction(draft: Draft, node: Tree): void {
  for (const value of readOnlyOptions(listAt(node, 'options'))) {
    const text = value.kind === 'constant' ? value.text : undefined;
    draft.settings.push({ name: 'transaction_read_only', value: text, local: true });
  }
}

/** The values that READ ONLY and READ WRITE stand for in a list of transaction modes. */
function readOnlyOptions(options: readonly unknown[]): SettingValue[] {
  return options.flatMap((item): SettingValue[] => {
    const option = unwrap(item);
    if (option?.type !== 'DefElem' || option.node.defname !== 'transaction_read_only') return [];
    const number = constantText(option.node.arg);
    return number === undefined
      ? [{ kind: 'unknown' }]
      : [{ kind: 'constant', text: number === '0' ? 'off' : 'on' }];
  });
}

function listValue(args: readonly unknown[]): SettingValue {
  const texts = args.map(setArgument);
  if (texts.some((text) => text === undefined)) return { kind: 'unknown' };
  return { kind: 'constant', text: texts.join(', ') };
}

/** `SET TIME ZONE INTERVAL '…'` is a cast; its literal is the value. */
function setArgument(value: unknown): string | undefined {
  const child = unwrap(value);
  if (child?.type === 'TypeCast') return constantText(child.node.arg);
  return constantText(value);
}

/** True if the call is of the builtin set_config; its effects are then in the draft. */
export function callsSetConfig(draft: Draft, schema: string | undefined, name: string, node: Tree): boolean {
  if (name !== 'set_config' || (schema !== undefined && schema !== 'pg_catalog')) return false;
  const [setting, value, local] = listAt(node, 'args');
  const settingText = constantText(setting);
  const text = constantText(value);
  const isLocal = /^(t|true|on|yes|1)$/i.test(constantText(stripCast(local)) ?? '');
  if (settingText !== undefined) {
    changes(
      draft,
      settingText,
      text === undefined ? { kind: 'unknown' } : { kind: 'constant', text },
      isLocal,
    );
    return true;
  }
  // pg_dump asks `set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = …` so that old servers
  // are spared; the only setting that takes this value is the one it means, and it puts a guard up.
  if (text === 'view, foreign-table' && isColumnCalledName(setting)) {
    changes(draft, 'restrict_nonsystem_relation_kind', { kind: 'constant', text }, isLocal);
    return true;
  }
  draft.does('parser-setting', 'calls set_config() with a name that is not a constant');
  // It may be the name of a password.
  draft.secret = true;
  draft.does('role');
  return true;
}

function isColumnCalledName(value: unknown): boolean {
  const child = unwrap(value);
  return child?.type === 'ColumnRef' && nameParts(listAt(child.node, 'fields')).at(-1) === 'name';
}

function stripCast(value: unknown): unknown {
  const child = value === undefined ? undefined : unwrap(value);
  return child?.type === 'TypeCast' ? child.node.arg : value;
}

/**
 * Writing to a system catalog. A row of pg_settings is written by a rule that calls set_config() (measured on 15 and
 * 18); the others are refused to all but superusers, and make anything happen.
 */
export function writesCatalog(
  draft: Draft,
  schema: string | undefined,
  name: string,
  how = 'writes to',
): void {
  const system = schema === 'pg_catalog' || schema === 'information_schema' || /^pg_(?!temp)/.test(name);
  if (!system) return;
  if (schema !== undefined && schema !== 'pg_catalog' && schema !== 'information_schema') return;
  draft.does('administer', `${how} ${name}, a system catalog`);
  // pg_authid, pg_user_mapping, pg_subscription and pg_settings hold passwords.
  draft.secret = true;
  if (name !== 'pg_settings') return;
  draft.does('parser-setting', `${how} pg_settings, which changes any setting`);
  draft.does('role');
}

/** DefElem lists of EXPLAIN and VACUUM: true unless every mention of the option has a false value. */
export function optionIsOn(options: readonly unknown[], names: readonly string[]): boolean {
  return options.some((item) => {
    const option = unwrap(item);
    if (option?.type !== 'DefElem') return true;
    if (!names.includes((textAt(option.node, 'defname') ?? '').toLowerCase())) return false;
    const text = nodeAt(option.node, 'arg') === undefined ? 'true' : constantText(option.node.arg);
    return text === undefined || !/^(false|off|0)$/i.test(text);
  });
}
