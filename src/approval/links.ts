// Links: the addresses that show one request to one recipient. Each recipient of a request has one of their own, and
// the log names it before anybody has it, so that a link that was passed on tells whose it was. Refuses to know how
// they are delivered. audit-approval §16.2.

import type { DeskOptions } from './ports.ts';
import type { Request } from './request.ts';
import { linkAudience, signLink } from './token.ts';

/** Links remembered, so that asking again for the same recipient gives the same one; of more, the last ones. */
const linksMax = 4_000;

/** The links of one desk. */
export class Links {
  readonly #options: Pick<DeskOptions, 'publicUrl' | 'linkKey' | 'log' | 'now' | 'random'>;
  readonly #given = new Map<string, Promise<string>>();

  constructor(options: Pick<DeskOptions, 'publicUrl' | 'linkKey' | 'log' | 'now' | 'random'>) {
    this.#options = options;
  }

  /**
   * The address that shows this request, for `recipient` (an approver's name, or a channel of ours): whoever has it may
   * look, and at level `link` decide. Rejects with `log-unwritable`; then there is none.
   */
  for(request: Request, rd: string, recipient: string): Promise<string> {
    const key = `${rd} ${recipient}`;
    const before = this.#given.get(key);
    if (before !== undefined) return before;
    const link = this.#make(request, rd, recipient);
    this.#given.set(key, link);
    if (this.#given.size > linksMax) this.#given.delete(this.#given.keys().next().value!);
    // A failed one is not remembered.
    link.catch(() => this.#given.delete(key));
    return link;
  }

  async #make(request: Request, rd: string, recipient: string): Promise<string> {
    const { publicUrl, linkKey, log, now, random } = this.#options;
    const jti = random(16).toString('base64url');
    log.append({ kind: 'notify', rid: request.rid, channel: 'link', message: jti, to: [recipient] });
    const token = await signLink(
      {
        iss: publicUrl,
        aud: linkAudience(publicUrl),
        sub: request.rid,
        rd,
        jti,
        iat: Math.floor(now() / 1000),
        exp: Math.ceil(request.exp / 1000),
      },
      linkKey,
    );
    return `${publicUrl}/r/${request.rid}#${token}`;
  }
}
