import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Plugin } from 'vite';

const ALLOWED = ['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC'];

interface Manifest {
  name: string;
  version: string;
  license: string;
}

/** Writes the licences of what is bundled beside it, and refuses what may not be bundled. */
export function licenses(): Plugin {
  return {
    name: 'licenses',
    generateBundle(_, bundle) {
      const packages = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        const modules = chunk.type === 'chunk' ? chunk.moduleIds : [];
        for (const module of modules) {
          const folder = packageOf(module);
          if (folder) packages.add(folder);
        }
      }
      const texts = [...packages].sort().map((folder) => describe(folder));
      this.emitFile({ type: 'asset', fileName: 'assets/licenses.txt', source: texts.join('\n\n') + '\n' });
    },
  };
}

function packageOf(module: string): string | undefined {
  if (!module.includes('node_modules')) return undefined;
  let folder = dirname(module.replace(/^\0/, '').replace(/\?.*$/, ''));
  while (!isPackage(folder)) {
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
  return folder;
}

function isPackage(folder: string): boolean {
  const manifest = join(folder, 'package.json');
  return existsSync(manifest) && 'version' in (JSON.parse(readFileSync(manifest, 'utf8')) as object);
}

function describe(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  if (!ALLOWED.includes(manifest.license)) throw new Error(`${manifest.name}: licence ${manifest.license}`);
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `Licensed under ${manifest.license}.`;
  return `${manifest.name} ${manifest.version} (${manifest.license})\n\n${text}`;
}
