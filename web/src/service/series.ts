// Series of metrics as charts and tables need them.

import type { Series } from '../api';
import type { TimeRange } from '../time';
import { labelOf, numberOf, textOf } from '../values';

export interface Aligned {
  /** Unix seconds. */
  times: number[];
  series: { label: string; values: (number | null)[] }[];
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const POINTS = 60;

/** Seconds between points. */
export function stepFor(range: TimeRange): number {
  const wanted = (range.end - range.start) / 1e3 / POINTS;
  return STEPS.find((step) => step >= wanted) ?? 7200;
}

/** Series over the same times; nothing where a series says nothing. */
export function aligned(series: Series[], label: string, until = Infinity): Aligned {
  const all = series.flatMap(({ samples = [] }) => samples.map((sample) => Number(sample.timestampMs)));
  // A step that is not over yet has not counted all it will.
  const times = [...new Set(all)].filter((time) => time <= until).sort((a, b) => a - b);
  const found = series.map(({ labels, samples = [] }) => {
    const byTime = new Map(samples.map((sample) => [Number(sample.timestampMs), numberOf(sample.value)]));
    return { label: labelOf(labels, label) ?? '', values: times.map((time) => byTime.get(time) ?? null) };
  });
  return { times: times.map((time) => time / 1e3), series: found };
}

/** A single request on a chart. */
export interface Point {
  /** Unix seconds. */
  time: number;
  /** Nanoseconds. */
  value: number;
  trace: string;
  span: string | undefined;
}

/** Exemplars of durations, each once. */
export function exemplarsOf(series: Series[]): Point[] {
  const found = new Map<string, Point>();
  for (const exemplar of series.flatMap(({ exemplars = [] }) => exemplars)) {
    const label = (...keys: string[]) =>
      exemplar.labels?.find(({ key }) => keys.includes(key))?.value;
    const trace = textOf(label('trace:id', 'traceID', 'trace_id'));
    if (!trace) continue;
    const span = textOf(label('span:id', 'spanID', 'span_id')) || undefined;
    const time = Number(exemplar.timestampMs) / 1e3;
    found.set(`${trace} ${time}`, { time, value: numberOf(exemplar.value) * 1e9, trace, span });
  }
  return [...found.values()];
}

export interface Operation {
  name: string;
  /** Per second. */
  rate: number;
  failing: number;
  /** Nanoseconds. */
  p50: number;
  p95: number;
}

/** Operations by how often they are asked for. */
export function operations(rates: Series[], quantiles: Series[]): Operation[] {
  const found = new Map<string, Operation>();
  for (const { labels, value } of rates) {
    const name = labelOf(labels, 'name') ?? '';
    const row = found.get(name) ?? { name, rate: 0, failing: 0, p50: NaN, p95: NaN };
    row.rate += numberOf(value);
    if (labelOf(labels, 'status') === 'error') row.failing += numberOf(value);
    found.set(name, row);
  }
  for (const { labels, value } of quantiles) {
    const row = found.get(labelOf(labels, 'name') ?? '');
    if (!row) continue;
    if (Number(labelOf(labels, 'p')) === 0.5) row.p50 = numberOf(value) * 1e9;
    else row.p95 = numberOf(value) * 1e9;
  }
  return [...found.values()].sort((a, b) => b.rate - a.rate);
}
