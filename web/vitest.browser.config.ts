import { defineConfig } from 'vitest/config';

// One browser and one server for all: the machine that runs this may have two cores.
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 120_000,
    bail: 0,
  },
});
