import { describe, expect, it } from 'vitest';

import { ago, bytes, compact, duration, percent, rate } from './format';

describe('format', () => {
  it.each([
    [0, '0 ns'],
    [999, '999 ns'],
    [1_500, '1.5 µs'],
    [12_345_678, '12.3 ms'],
    [1_000_000_000, '1 s'],
    [90_000_000_000, '1.5 min'],
    [-2_500_000, '-2.5 ms'],
    [NaN, '–'],
  ])('writes %d ns as %s', (nanos, text) => expect(duration(nanos)).toBe(text));

  it('keeps shares honest', () => {
    expect(percent(0)).toBe('0 %');
    expect(percent(0.0001)).toBe('<0.1 %');
    expect(percent(0.99999)).toBe('>99.9 %');
    expect(percent(0.125)).toBe('12.5 %');
  });

  it('shortens large numbers', () => {
    expect(compact(12_345)).toBe('12.3k');
    expect(compact(999)).toBe('999');
    expect(compact(1.234)).toBe('1.23');
    expect(bytes(1536)).toBe('1.5 KiB');
    expect(rate(0.001)).toBe('<0.01/s');
  });

  it('tells ages both ways', () => {
    expect(ago(0, 45_000)).toBe('45 s ago');
    expect(ago(7_200_000, 0)).toBe('in 2 h');
  });
});
