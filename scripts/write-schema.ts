// Writes config.schema.json from the shape of holdpoint.yaml. A test says when it is out of date.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configSchemaText } from '../src/config-shape.ts';

writeFileSync(join(import.meta.dirname, '..', 'config.schema.json'), configSchemaText());
