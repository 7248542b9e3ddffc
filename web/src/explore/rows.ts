// Search results as lists and plots show them.

import type * as api from '../api';
import type { TimeRange } from '../time';

/** A trace as lists and plots show it. */
export interface TraceRow {
  id: string;
  service: string;
  name: string;
  /** Unix milliseconds. */
  start: number;
  /** Nanoseconds. */
  duration: number;
  spans: number;
  errors: number;
  services: string[];
  matched: number;
  spanSets: api.SpanSet[];
}

/** The first stretch that is searched; each further one is twice as long. */
const FIRST_SHARE = 1 / 32;
const SHORTEST = 30_000;

/** Stretches of a time range, newest first, that cover it. */
export function stretches(range: TimeRange): TimeRange[] {
  const found: TimeRange[] = [];
  let length = Math.max((range.end - range.start) * FIRST_SHARE, SHORTEST);
  for (let end = range.end; end > range.start; length *= 2) {
    // What would be left over for a last, short stretch is searched at once.
    const start = end - length * 1.5 <= range.start ? range.start : end - length;
    found.push({ start, end });
    end = start;
  }
  return found;
}

export function toRow(trace: api.FoundTrace): TraceRow {
  const stats = Object.entries(trace.serviceStats ?? {});
  const sum = (of: 'spanCount' | 'errorCount') => stats.reduce((total, [, stat]) => total + (stat[of] ?? 0), 0);
  const spanSets = trace.spanSets ?? [];
  const matched = spanSets.reduce((total, set) => total + (set.matched ?? 0), 0);
  return {
    id: trace.traceID.padStart(32, '0'),
    service: trace.rootServiceName ?? '',
    name: trace.rootTraceName ?? '',
    start: Number(trace.startTimeUnixNano) / 1e6,
    duration: exactDuration(trace),
    spans: Math.max(sum('spanCount'), matched),
    errors: sum('errorCount'),
    services: stats.map(([service]) => service).sort(),
    matched,
    spanSets,
  };
}

/** The API gives whole milliseconds. A matched span as long as the trace knows better. */
function exactDuration(trace: api.FoundTrace): number {
  const millis = trace.durationMs ?? 0;
  for (const span of (trace.spanSets ?? []).flatMap((set) => set.spans ?? [])) {
    const nanos = Number(span.durationNanos ?? 0);
    if (span.startTimeUnixNano === trace.startTimeUnixNano && Math.floor(nanos / 1e6) === millis) return nanos;
  }
  return millis * 1e6;
}

/** Rows with more rows; of the same trace the one that matched more. */
export function merge(rows: TraceRow[], more: TraceRow[]): TraceRow[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const row of more) {
    const known = byId.get(row.id);
    if (!known || row.matched > known.matched) byId.set(row.id, row);
  }
  return [...byId.values()].sort((a, b) => b.start - a.start);
}
