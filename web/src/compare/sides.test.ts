import { describe, expect, it } from 'vitest';

import { buildTrace } from '../trace/model';
import { paths, sides } from './sides';

const id = (value: string) => btoa(value.padStart(8, '0'));

function traceOf(...spans: [string, string, number][]) {
  const made = spans.map(([name, parent, start]) => ({
    spanId: id(name),
    ...(parent ? { parentSpanId: id(parent) } : {}),
    name,
    startTimeUnixNano: `170000000000000000${start}`,
    endTimeUnixNano: '1700000000000000009',
  }));
  return buildTrace([{ scopeSpans: [{ spans: made }] }]);
}

const stats = { spanCountA: 0, spanCountB: 0, matchedSpans: 0, modifiedSpans: 0, addedSpans: 0, removedSpans: 0 };

describe('two traces side by side', () => {
  const base = traceOf(['a', '', 0], ['b', 'a', 1], ['c', 'b', 2], ['d', 'a', 3]);

  it('have paths by the place among siblings', () => expect(paths(base)).toEqual(['0', '0.0', '0.0.0', '0.1']));

  it('are marked where they differ', () => {
    const other = traceOf(['a', '', 0], ['b', 'a', 1], ['e', 'a', 2]);
    const patch = {
      stats,
      removed: [{ target: {}, span: { path: [0, 0, 0] } }, { target: {}, span: { path: [0, 1] } }],
      added: [{ target: {}, span: { path: [0, 1] } }],
      modified: [{ span: { path: [0] }, changes: [] }],
    };
    const { left, right } = sides(base, other, patch);
    expect(left.rows.map(({ mark }) => mark)).toEqual(['same', 'same', 'removed', 'removed']);
    expect(right.rows.map(({ mark }) => mark)).toEqual(['modified', 'same', 'added']);
  });
});
