// The subjects of one run: started one after the other, their memory asked while nothing runs through them yet, and
// stopped together. Refuses to know what is measured of them later.

import { candidates } from '../subjects/all.ts';
import { Absent, type Place, type Subject } from '../subjects/subject.ts';
import { type Memory, memoryOf } from './memory.ts';
import type { Options } from './options.ts';

export class Stage {
  readonly subjects = new Map<string, Subject>();
  /** Why a subject does not take part. */
  readonly absent: Record<string, string> = {};
  readonly memory: Record<string, Memory | undefined> = {};
  readonly failures: string[] = [];

  async fill({ subjects, idle, tls }: Options, placeOf: (name: string) => Place): Promise<void> {
    for (const { name, start } of candidates.filter((candidate) => subjects.includes(candidate.name))) {
      const subject = await start(placeOf(name));
      if (subject instanceof Absent) {
        this.absent[name] = subject.reason;
        continue;
      }
      this.subjects.set(name, subject);
      this.memory[name] = await memoryOf(subject, idle, tls).catch((error: Error) => {
        this.failures.push(`${name}, ${idle} idle sessions: ${error.message}`);
        return undefined;
      });
    }
  }

  async clear(): Promise<void> {
    for (const subject of this.subjects.values()) await subject.stop();
  }
}
