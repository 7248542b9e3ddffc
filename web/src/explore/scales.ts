import type UPlot from 'uplot';

import { duration, tick } from '../format';
import { axis } from '../ui/plot';

/** Ticks of a logarithmic axis of nanoseconds. */
export function decades(low: number, high: number): number[] {
  const found: number[] = [];
  const few = Math.log10(high / low) < 2.2;
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of few ? [1, 2, 5] : [1]) {
      const value = step * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** Scales and axes of time against duration, both plots alike. */
export function timeAndDuration(x: [number, number], y: [number, number]): Pick<UPlot.Options, 'scales' | 'axes'> {
  return {
    scales: {
      x: { time: true, range: () => x },
      y: { distr: 3, log: 10, range: () => y },
    },
    axes: [
      axis({ size: 26, space: 90, values: (_, splits, __, ___, step) => splits.map((at) => tick(at * 1e3, step)) }),
      axis({
        size: 62,
        splits: (_, __, low, high) => decades(low, high),
        filter: (_, splits) => splits,
        values: (_, splits) => splits.map((value) => duration(value)),
      }),
    ],
  };
}
