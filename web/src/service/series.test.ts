import { describe, expect, it } from 'vitest';

import { aligned, exemplarsOf, operations } from './series';

const label = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const p = (doubleValue: number) => ({ key: 'p', value: { doubleValue } });

describe('series', () => {
  it('share their times', () => {
    const found = aligned(
      [
        { labels: [label('status', 'error')], samples: [{ timestampMs: '2000', value: 3 }] },
        { labels: [label('status', 'ok')], samples: [{ timestampMs: '1000' }, { timestampMs: '2000', value: 1 }] },
      ],
      'status',
    );
    expect(found).toEqual({
      times: [1, 2],
      series: [
        { label: 'error', values: [null, 3] },
        { label: 'ok', values: [0, 1] },
      ],
    });
  });

  it('have exemplars, each once', () => {
    const exemplar = { labels: [label('trace:id', 'abc')], value: 0.002, timestampMs: '1000' };
    expect(exemplarsOf([{ exemplars: [exemplar] }, { exemplars: [exemplar, { timestampMs: '5' }] }])).toEqual([
      { time: 1, value: 2e6, trace: 'abc', span: undefined },
    ]);
  });

  it('make a table of operations', () => {
    const rates = [
      { labels: [label('name', 'a'), label('status', 'unset')], value: 3 },
      { labels: [label('name', 'a'), label('status', 'error')], value: 1 },
      { labels: [label('name', 'b'), label('status', 'unset')], value: 9 },
    ];
    const quantiles = [
      { labels: [label('name', 'a'), p(0.5)], value: 0.001 },
      { labels: [label('name', 'a'), p(0.95)], value: 0.004 },
    ];
    expect(operations(rates, quantiles)).toMatchObject([
      { name: 'b', rate: 9, failing: 0 },
      { name: 'a', rate: 4, failing: 1, p50: 1e6, p95: 4e6 },
    ]);
  });
});
