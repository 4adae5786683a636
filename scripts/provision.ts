// Before `npm test`: makes sure of the programs that npm does not bring, Chromium and redis-server. From PATH, else by
// apt-get as root on Debian, else as a Docker image if an engine answers (test/support starts it then), else one
// sentence that says what to install, and exit 1. Nothing is ever skipped.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dockerAnswers, findProgram, programs } from '../test/support/programs.ts';

const wanted = Object.entries(programs).filter(([, program]) => findProgram(program) === undefined);

if (wanted.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
  const packages = wanted.map(([, { debian }]) => debian);
  console.log(`Installing ${packages.join(', ')} with apt-get for the tests.`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]) => spawnSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 2, 2], env });
  apt('update');
  // One by one: a package that this release does not have must not keep the others away.
  for (const name of packages) apt('install', '-y', '--no-install-recommends', name);
}

const missing = wanted.filter(([, program]) => findProgram(program) === undefined);
if (missing.length > 0 && !dockerAnswers()) {
  const names = missing.map(([name, { debian }]) => `${name} (Debian package ${debian})`);
  console.error(`The tests need ${names.join(' and ')}: install it so that it is on PATH, or start Docker.`);
  process.exitCode = 1;
}
