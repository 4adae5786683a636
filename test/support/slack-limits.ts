// What Slack refuses of a message or a form: the limits of Block Kit as docs.slack.dev gives them. Each function returns
// what is wrong, a sentence each.

// biome-ignore lint/suspicious/noExplicitAny: whatever JSON was sent
type Json = Record<string, any>;

export function blockFaults(text: string | undefined, blocks: Json[]): string[] {
  const faults = [...within(text, 1, 40_000, 'text'), ...most(blocks, 50, 'blocks')];
  for (const [at, block] of blocks.entries()) faults.push(...faultsOf(block, `blocks[${at}]`));
  return faults;
}

export function viewFaults(view: Json): string[] {
  const faults = [
    ...(view.type === 'modal' ? [] : ['type must be modal']),
    ...textFaults(view.title, 24, 'title', ['plain_text']),
    ...textFaults(view.submit, 24, 'submit', ['plain_text']),
    ...textFaults(view.close, 24, 'close', ['plain_text']),
    ...within(view.private_metadata, 0, 3000, 'private_metadata'),
    ...within(view.callback_id, 0, 255, 'callback_id'),
    ...most(view.blocks, 100, 'blocks'),
  ];
  for (const [at, block] of (view.blocks ?? []).entries()) faults.push(...faultsOf(block, `blocks[${at}]`));
  return faults;
}

function faultsOf(block: Json, at: string): string[] {
  switch (block.type) {
    case 'header':
      return textFaults(block.text, 150, `${at}.text`, ['plain_text']);
    case 'section':
      return [
        ...(block.text === undefined && block.fields === undefined ? [`${at} is empty`] : []),
        ...(block.text === undefined ? [] : textFaults(block.text, 3000, `${at}.text`)),
        ...most(block.fields ?? [], 10, `${at}.fields`),
        ...(block.fields ?? []).flatMap((field: Json, index: number) =>
          textFaults(field, 2000, `${at}.fields[${index}]`),
        ),
      ];
    case 'context':
      return [
        ...(block.elements?.length > 0 ? [] : [`${at} is empty`]),
        ...most(block.elements, 10, `${at}.elements`),
        ...block.elements.flatMap((one: Json) => textFaults(one, 3000, `${at}.elements`)),
      ];
    case 'actions':
      return [
        ...(block.elements?.length > 0 ? [] : [`${at} is empty`]),
        ...most(block.elements, 25, `${at}.elements`),
        ...block.elements.flatMap((one: Json) => buttonFaults(one, `${at}.elements`)),
        ...repeated(
          block.elements.map((one: Json) => one.action_id),
          `${at}: action_id`,
        ),
      ];
    case 'input':
      return [
        ...textFaults(block.label, 2000, `${at}.label`, ['plain_text']),
        ...(block.element?.max_length > 3000 ? [`${at}.max_length`] : []),
      ];
    default:
      return [`${at} has an unknown type`];
  }
}

function buttonFaults(button: Json, at: string): string[] {
  const { confirm } = button;
  return [
    ...(button.type === 'button' ? [] : [`${at} is no button`]),
    ...textFaults(button.text, 75, `${at}.text`, ['plain_text']),
    ...within(button.action_id, 1, 255, `${at}.action_id`),
    ...within(button.value ?? '', 0, 2000, `${at}.value`),
    ...within(button.url ?? '', 0, 3000, `${at}.url`),
    ...(confirm === undefined
      ? []
      : [
          ...textFaults(confirm.title, 100, `${at}.confirm.title`, ['plain_text']),
          ...textFaults(confirm.text, 300, `${at}.confirm.text`),
          ...textFaults(confirm.confirm, 30, `${at}.confirm.confirm`, ['plain_text']),
          ...textFaults(confirm.deny, 30, `${at}.confirm.deny`, ['plain_text']),
        ]),
  ];
}

function textFaults(
  text: Json | undefined,
  charactersMax: number,
  at: string,
  types = ['plain_text', 'mrkdwn'],
): string[] {
  if (!types.includes(text?.type)) return [`${at} must be ${types.join(' or ')}`];
  const strange = Object.keys(text!).filter((key) => !['type', 'text', 'emoji', 'verbatim'].includes(key));
  return [
    ...within(text!.text, 1, charactersMax, at),
    ...strange.map((key) => `${at} has a member ${key}`),
    ...(text!.type === 'mrkdwn' && 'emoji' in text! ? [`${at}: emoji is for plain_text`] : []),
    ...(text!.type === 'plain_text' && 'verbatim' in text! ? [`${at}: verbatim is for mrkdwn`] : []),
  ];
}

function within(text: unknown, least: number, most: number, at: string): string[] {
  if (typeof text !== 'string') return [`${at} must be a string`];
  return text.length < least || text.length > most ? [`${at} has ${text.length} characters`] : [];
}

function most(list: unknown[] | undefined, items: number, at: string): string[] {
  if (!Array.isArray(list)) return [`${at} must be a list`];
  return list.length > items ? [`${at} has ${list.length} items`] : [];
}

function repeated(names: string[], at: string): string[] {
  return new Set(names).size < names.length ? [`${at} is repeated`] : [];
}
