import { describe, expect, it } from 'vitest';

import type { OtlpSpan } from '../api';
import { criticalPath } from './critical';
import { buildTrace, hex, origins, visible } from './model';
import { flame, sums } from './sums';

const BASE = 1_700_000_000;

/** A span of `start` to `end` milliseconds. */
function span(id: number, parent: number, start: number, end: number, more: Partial<OtlpSpan> = {}): OtlpSpan {
  const encode = (value: number) => btoa(String.fromCharCode(0, 0, 0, 0, 0, 0, value >> 8, value & 255));
  const at = (millis: number) => `${BASE}${String(Math.round(millis * 1e6)).padStart(9, '0')}`;
  const own = { spanId: encode(id), name: `op${id}`, startTimeUnixNano: at(start), endTimeUnixNano: at(end) };
  return parent ? { ...own, parentSpanId: encode(parent), ...more } : { ...own, ...more };
}

function traceOf(...spans: OtlpSpan[]) {
  const attributes = [{ key: 'service.name', value: { stringValue: 'shop' } }];
  return buildTrace([{ resource: { attributes }, scopeSpans: [{ spans }] }]);
}

const failed: Partial<OtlpSpan> = { status: { code: 'STATUS_CODE_ERROR' } };
const names = (spans: { name: string }[]) => spans.map(({ name }) => name);
const MS = 1e6;

describe('the tree', () => {
  it('has children after their parents by start, whatever the order they came in', () => {
    const { spans, depth } = traceOf(span(3, 1, 4, 5), span(4, 2, 2, 3), span(1, 0, 0, 10), span(2, 1, 1, 3));
    expect(names(spans)).toEqual(['op1', 'op2', 'op4', 'op3']);
    expect(spans.map(({ size, depth: level, parent }) => [size, level, parent])).toEqual([
      [4, 0, -1],
      [2, 1, 0],
      [1, 2, 1],
      [1, 1, 0],
    ]);
    expect(depth).toBe(3);
  });

  it('keeps spans without their parent, and circles', () => {
    const { spans } = traceOf(span(1, 9, 0, 1), span(2, 3, 1, 2), span(3, 2, 2, 3), span(4, 4, 3, 4));
    expect(spans).toHaveLength(4);
    expect(spans.filter(({ parent }) => parent < 0).map(({ name }) => name)).toEqual(['op1', 'op4', 'op2']);
    expect(spans[0]?.orphan).toBe(true);
  });

  it('lets the server of a shared id be the parent', () => {
    const kinds = [{ kind: 'SPAN_KIND_CLIENT' }, { kind: 'SPAN_KIND_SERVER' }];
    const { spans } = traceOf(span(1, 0, 0, 9, kinds[0]), span(1, 0, 1, 8, kinds[1]), span(2, 1, 2, 3));
    expect(spans[spans.find(({ name }) => name === 'op2')?.parent ?? -1]?.kind).toBe('server');
  });

  it('has exact times, though unix nanoseconds do not fit a double', () => {
    const one = { ...span(1, 0, 0, 0), startTimeUnixNano: '1700000000000000001', endTimeUnixNano: '1700000000000000004' };
    expect(traceOf(one).spans[0]).toMatchObject({ start: 0, duration: 3 });
  });

  it('is there for a hundred thousand levels', () => {
    const deep = Array.from({ length: 60_000 }, (_, at) => ({
      ...span(0, 0, 0, 1),
      spanId: btoa(String(at + 1).padStart(8, '0')),
      ...(at > 0 ? { parentSpanId: btoa(String(at).padStart(8, '0')) } : {}),
    }));
    const { spans, depth } = traceOf(...deep);
    expect(depth).toBe(60_000);
    expect(criticalPath(spans).size).toBe(1);
    expect(flame(spans).total).toBe(1 * MS);
  });

  it('folds subtrees', () => {
    const { spans } = traceOf(span(1, 0, 0, 10), span(2, 1, 1, 3), span(3, 2, 1, 2), span(4, 1, 4, 5));
    expect([...visible(spans, new Set([1]))]).toEqual([0, 1, 3]);
    expect([...visible(spans, new Set([0, 1]))]).toEqual([0]);
  });

  it('knows where errors began', () => {
    const { spans } = traceOf(span(1, 0, 0, 9, failed), span(2, 1, 1, 3, failed), span(3, 1, 4, 5), span(4, 3, 4, 5, failed));
    expect(names(origins(spans))).toEqual(['op2', 'op4']);
  });

  it('reads ids', () => expect(hex(btoa('\x01\xab'))).toBe('01ab'));
});

describe('self time', () => {
  it('takes overlapping children away once, and only within the parent', () => {
    const { spans } = traceOf(span(1, 0, 0, 10), span(2, 1, 1, 5), span(3, 1, 3, 7), span(4, 1, 9, 14));
    expect(spans.map(({ self }) => self / MS)).toEqual([10 - 6 - 1, 4, 4, 5]);
  });

  it('is summed by service and by operation', () => {
    const { spans } = traceOf(span(1, 0, 0, 10), span(2, 1, 1, 5, { name: 'x' }), span(3, 1, 6, 8, { name: 'x', ...failed }));
    expect(sums(spans, 'service')).toMatchObject([{ service: 'shop', spans: 3, errors: 1, self: 10 * MS }]);
    expect(sums(spans, 'operation')).toMatchObject([
      { name: 'x', spans: 2, total: 6 * MS, longest: 4 * MS },
      { name: 'op1', self: 4 * MS },
    ]);
  });
});

describe('the critical path', () => {
  const pathOf = (...spans: OtlpSpan[]) => {
    const { spans: ordered } = traceOf(...spans);
    const path = criticalPath(ordered);
    return Object.fromEntries<[number, number][]>(
      [...path].map(([at, segments]) => [ordered[at]?.name ?? '', segments.map(({ start, end }): [number, number] => [start / MS, end / MS])]),
    );
  };

  it('of children one after the other goes through all', () => {
    expect(pathOf(span(1, 0, 0, 10), span(2, 1, 1, 4), span(3, 1, 5, 9))).toEqual({
      op1: [
        [9, 10],
        [4, 5],
        [0, 1],
      ],
      op2: [[1, 4]],
      op3: [[5, 9]],
    });
  });

  it('of children side by side goes through the last to end', () => {
    expect(pathOf(span(1, 0, 0, 10), span(2, 1, 1, 9), span(3, 1, 1, 5))).toEqual({
      op1: [
        [9, 10],
        [0, 1],
      ],
      op2: [[1, 9]],
    });
  });

  it('goes no further than the parent, whatever children do', () => {
    expect(pathOf(span(1, 0, 0, 10), span(2, 1, 8, 15), span(3, 1, 12, 13))).toEqual({ op1: [[0, 8]], op2: [[8, 10]] });
  });

  it('adds up to the root', () => {
    const { spans } = traceOf(span(1, 0, 0, 20), span(2, 1, 1, 12), span(3, 2, 3, 9), span(4, 2, 4, 11), span(5, 1, 11, 19));
    const total = [...criticalPath(spans).values()].flat().reduce((sum, { start, end }) => sum + end - start, 0);
    expect(total).toBe(20 * MS);
  });
});

describe('the flame graph', () => {
  it('joins spans of the same operation, and is as wide as all self time', () => {
    const { spans } = traceOf(
      span(1, 0, 0, 10),
      span(2, 1, 1, 5, { name: 'x' }),
      span(3, 1, 6, 8, { name: 'x' }),
      span(4, 2, 2, 3, { name: 'y' }),
      span(5, 3, 6, 7, { name: 'y' }),
    );
    const root = flame(spans);
    expect(root.total).toBe(10 * MS);
    const x = root.children[0]?.children[0];
    expect(x).toMatchObject({ name: 'x', spans: 2, total: 6 * MS, self: 4 * MS });
    expect(x?.children).toMatchObject([{ name: 'y', spans: 2, total: 2 * MS, depth: 3 }]);
  });
});
