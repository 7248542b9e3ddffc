// The cells of a latency heatmap.

import type { Series } from '../api';
import type { TimeRange } from '../time';
import { labelOf, numberOf } from '../values';
import type { Area } from './area';

export interface Cells {
  list: { area: Area; count: number }[];
  most: number;
  /** Ends of the duration axis, in nanoseconds. */
  low: number;
  high: number;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];
const COLUMNS = 90;

/** Seconds per column: a round number that makes about ninety columns. */
export function stepFor(range: TimeRange, columns = COLUMNS): number {
  const wanted = (range.end - range.start) / 1e3 / columns;
  return STEPS.find((step) => step >= wanted) ?? 86_400;
}

/** A bucket holds durations up to its bound, which is a power of two, and above the bound before. */
export function cellsOf(series: Series[], step: number): Cells {
  const list: Cells['list'] = [];
  let [most, low, high] = [0, Infinity, 0];
  for (const { labels, samples = [] } of series) {
    const bound = Number(labelOf(labels, '__bucket')) * 1e9;
    if (!(bound > 0)) continue;
    for (const sample of samples) {
      const count = numberOf(sample.value);
      if (count <= 0) continue;
      // A sample counts what came within the step before it.
      const end = Number(sample.timestampMs);
      list.push({ area: { start: end - step * 1e3, end, shortest: bound / 2, longest: bound }, count });
      [most, low, high] = [Math.max(most, count), Math.min(low, bound / 2), Math.max(high, bound)];
    }
  }
  return list.length === 0 ? { list, most, low: 1e6, high: 1e9 } : { list, most, low, high };
}
