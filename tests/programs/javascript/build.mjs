// Makes the component. Its own compiler is a component too, and must be given the file system.
import { filesystem } from '@bytecodealliance/preview2-shim';
import { writeFile } from 'node:fs/promises';

filesystem._addPreopen('/', '/');
const { componentize } = await import('@bytecodealliance/componentize-js');
const { component } = await componentize({
  sourcePath: 'app.js',
  witPath: 'wit',
  worldName: 'command',
});
await writeFile('javascript.wasm', component);
