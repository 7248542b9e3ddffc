import { defineConfig } from 'vitest/config';

import { licenses } from './licenses';

// Every address is relative, so that the console works under any prefix. Nothing is inlined: the server's policy
// allows neither scripts nor styles in the page.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  plugins: [licenses()],
  test: { include: ['src/**/*.test.ts'] },
});
