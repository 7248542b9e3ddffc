// What the server counts, read twice: so much a second.

import type { ServerStatus } from '../api';

export interface Counted {
  /** Milliseconds. */
  at: number;
  spans: number;
  bytes: number;
  queries: number;
  querySeconds: number;
  failedQueries: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;

/** Sums of the samples of a metric whose labels pass; of a page of OpenMetrics. */
export function sum(page: string, name: string, passes: (labels: string) => boolean): number {
  let total = 0;
  for (const line of page.split('\n')) {
    if (!line.startsWith(name)) continue;
    const [, found, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (found === name && passes(labels)) total += Number(value);
  }
  return total;
}

/** Routes that ask about traces, in labels. */
const isQuery = (labels: string) => /route="api_(search|traces|v2|metrics|service_graph)/.test(labels);
const isFailure = (labels: string) => isQuery(labels) && /status_code="5\d\d"/.test(labels);

export function counted(status: ServerStatus, page: string, at: number): Counted {
  return {
    at,
    spans: status.ingest.spansReceived,
    bytes: status.ingest.bytesReceived,
    queries: sum(page, 'tempo_request_duration_seconds_count', isQuery),
    querySeconds: sum(page, 'tempo_request_duration_seconds_sum', isQuery),
    failedQueries: sum(page, 'tempo_request_duration_seconds_count', isFailure),
  };
}

export interface Rates {
  spans: number;
  bytes: number;
  queries: number;
  failed: number;
  /** Nanoseconds. */
  meanQuery: number;
}

export function rates(before: Counted, now: Counted): Rates {
  const seconds = Math.max((now.at - before.at) / 1e3, 0.001);
  const per = (of: 'spans' | 'bytes' | 'queries' | 'failedQueries') => Math.max(now[of] - before[of], 0) / seconds;
  const queries = now.queries - before.queries;
  const meanQuery = queries > 0 ? ((now.querySeconds - before.querySeconds) / queries) * 1e9 : NaN;
  return { spans: per('spans'), bytes: per('bytes'), queries: per('queries'), failed: per('failedQueries'), meanQuery };
}
