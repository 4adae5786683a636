// Statement words: the words that a statement can begin with. Any other first word of a text that was not understood may be
// anything, a pasted password too. Source: PostgreSQL 18, src/backend/parser/gram.y.

const words: ReadonlySet<string> = new Set(
  `ABORT ALTER ANALYZE ANALYSE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE
  DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH
  REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM
  VALUES WITH`.split(/\s+/),
);

/** True of an upper-case word that a statement can begin with. */
export function beginsStatement(word: string): boolean {
  return words.has(word);
}
