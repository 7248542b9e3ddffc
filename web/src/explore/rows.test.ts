import { describe, expect, it } from 'vitest';

import { readArea, writeArea } from './area';
import { merge, stretches, toRow } from './rows';

describe('stretches', () => {
  it.each([60_000, 900_000, 86_400_000, 12_345_678])('cover %d ms, newest first, without gaps', (length) => {
    const range = { start: 1_000, end: 1_000 + length };
    const found = stretches(range);
    expect(found[0]?.end).toBe(range.end);
    expect(found.at(-1)?.start).toBe(range.start);
    for (const [at, stretch] of found.entries()) {
      expect(stretch.start).toBeLessThan(stretch.end);
      if (at > 0) expect(stretch.end).toBe(found[at - 1]?.start);
    }
    expect(found.length).toBeLessThanOrEqual(6);
  });
});

const trace = (id: string, matched: number, start = 5) =>
  toRow({ traceID: id, startTimeUnixNano: `${start}000000`, durationMs: 3, spanSets: [{ matched, spans: [] }] });

describe('rows', () => {
  it('sum what services say', () => {
    const row = toRow({
      traceID: 'abc',
      startTimeUnixNano: '1700000000000000000',
      durationMs: 2,
      serviceStats: { b: { spanCount: 3, errorCount: 1 }, a: { spanCount: 2 } },
      spanSets: [{ matched: 1, spans: [{ spanID: '1', startTimeUnixNano: '1700000000000000000', durationNanos: '2345678' }] }],
    });
    expect(row).toMatchObject({ spans: 5, errors: 1, services: ['a', 'b'], duration: 2_345_678, start: 1_700_000_000_000 });
    expect(row.id).toHaveLength(32);
  });

  it('are merged by trace, newest first', () => {
    const merged = merge([trace('1', 1, 9), trace('2', 4, 8)], [trace('2', 2, 8), trace('1', 3, 9), trace('3', 1, 10)]);
    expect(merged.map((row) => [row.id.at(-1), row.matched])).toEqual([
      ['3', 1],
      ['1', 3],
      ['2', 4],
    ]);
  });
});

describe('areas', () => {
  it('come back from the address', () => {
    const area = { start: 1, end: 2, shortest: 3, longest: 4 };
    expect(readArea(writeArea(area))).toEqual(area);
    expect(readArea('')).toBeUndefined();
    expect(readArea('1,2,3')).toBeUndefined();
    expect(readArea('4,2,3,5')).toBeUndefined();
  });
});
