// Rules that enclose whatever they can: reads in a read-only transaction, changes in one that is counted.

/** A rules file. `rowsMax`: rows that a statement may change. */
export function rulesEnclosing(rowsMax: number): string {
  return `
version: 1
rules:
  - name: reads
    action: pass
    readOnly: true
    effects: [read, unproven, function, advisory-lock, notify, setting, custom-setting]
  - name: changes
    action: pass
    rowsMax: ${rowsMax}
    effects: [read, insert, update, update-all, delete, lock-rows, sequence, temporary]
  - name: transactions
    action: pass
    effects: [transaction]
  - name: definitions
    action: pass
    effects: [create, alter, drop, temporary, code, truncate, large-object]
`;
}

export const enclosingRules = rulesEnclosing(10);
