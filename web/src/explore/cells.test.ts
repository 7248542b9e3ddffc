import { describe, expect, it } from 'vitest';

import { cellsOf, stepFor } from './cells';

describe('the heatmap', () => {
  it('has steps that are round', () => {
    expect(stepFor({ start: 0, end: 900_000 })).toBe(10);
    expect(stepFor({ start: 0, end: 60_000 })).toBe(1);
    expect(stepFor({ start: 0, end: 7 * 86_400_000 })).toBe(7200);
  });

  it('places what a bucket counts below its bound and before its time', () => {
    const labels = [{ key: '__bucket', value: { doubleValue: 0.002 } }];
    const samples = [{ timestampMs: '60000', value: 4 }, { timestampMs: '120000' }];
    const cells = cellsOf([{ labels, samples }], 60);
    expect(cells.list).toEqual([{ area: { start: 0, end: 60_000, shortest: 1e6, longest: 2e6 }, count: 4 }]);
    expect(cells).toMatchObject({ most: 4, low: 1e6, high: 2e6 });
  });

  it('has axes without any data', () => expect(cellsOf([], 60)).toEqual({ list: [], most: 0, low: 1e6, high: 1e9 }));
});
