import { describe, expect, it } from 'vitest';

import { parseSpan, parseTime, resolve } from './time';

const NOW = 1_700_000_000_000;

describe('time', () => {
  it('reads spans of time', () => {
    expect(parseSpan('1h30m')).toBe(5_400_000);
    expect(parseSpan('0.5s')).toBe(500);
    expect(parseSpan('15')).toBeUndefined();
    expect(parseSpan('m')).toBeUndefined();
  });

  it.each([
    ['now', NOW],
    ['now-15m', NOW - 900_000],
    ['now-1d/d', NOW - 86_400_000],
    ['1700000000', NOW],
    ['1700000000000', NOW],
    ['1700000000000000', NOW],
    ['1700000000000000000', NOW],
    ['2023-11-14T22:13:20Z', NOW],
    ['yesterday', undefined],
  ])('reads %s', (text, expected) => expect(parseTime(text, NOW)).toBe(expected));

  it('falls back to the default for what is no range', () => {
    expect(resolve({ from: 'now', to: 'now-1h' }, NOW)).toEqual({ start: NOW - 900_000, end: NOW });
  });
});
