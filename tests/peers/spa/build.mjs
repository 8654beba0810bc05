// Builds the application of this folder: releases 1 and 2 into dist/1 and dist/2, and both once more as PWAs that update
// themselves into dist/pwa-1 and dist/pwa-2. Every page is a chunk of its own with a style sheet of its own.

import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import react from '@vitejs/plugin-react';
import { build } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

const PAGES = 24;
const root = fileURLToPath(new URL('.', import.meta.url));

const REGISTER = `
  import { registerSW } from 'virtual:pwa-register';
  registerSW({ immediate: true });`;

/** `virtual:pages`: how each page is loaded; `virtual:register`: the service worker, where there is one. */
function pages(release, register) {
  const source = (index) => `
    import { createElement } from 'react';
    import 'virtual:page/${index}.css';
    import { release } from '/release.js';
    export default () =>
      createElement('h1', { className: 'page-${index}', 'data-testid': 'page-${index}' }, 'release ' + release);`;
  const list = Array.from({ length: PAGES }, (_, index) => `() => import('virtual:page/${index}.js')`);
  return {
    name: 'pages',
    resolveId: (id) => (/^virtual:(page|register$)/.test(id) ? id.replace('virtual:', '/virtual/') : undefined),
    load(id) {
      if (id === '/virtual/pages') return `export default [${list.join(', ')}]`;
      if (id === '/virtual/register') return register;
      const [, index, kind] = /^\/virtual\/page\/(\d+)\.(js|css)$/.exec(id) ?? [];
      if (kind === 'js') return source(index);
      if (kind === 'css') return `.page-${index} { order: ${index}; z-index: ${release} }`;
      return undefined;
    },
  };
}

const pwa = () =>
  VitePWA({
    registerType: 'autoUpdate',
    injectRegister: 'script',
    workbox: { clientsClaim: true, skipWaiting: true },
    manifest: { name: 'Release', short_name: 'Release', display: 'standalone', icons: [] },
  });

rmSync(new URL('dist', import.meta.url), { recursive: true, force: true });
for (const release of [1, 2]) {
  for (const [name, plugins] of [
    [`${release}`, [pages(release, '')]],
    [`pwa-${release}`, [pages(release, REGISTER), pwa()]],
  ]) {
    await build({
      root,
      configFile: false,
      logLevel: 'warn',
      plugins: [react(), ...plugins],
      define: { __RELEASE__: JSON.stringify(release) },
      build: { outDir: `dist/${name}` },
    });
  }
}
