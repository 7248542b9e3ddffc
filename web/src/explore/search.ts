// A search that shows its newest results while older ones are still looked for.

import { useEffect, useRef, useState } from 'preact/hooks';

import * as api from '../api';
import type { TimeRange } from '../time';
import { type TraceRow, merge, stretches, toRow } from './rows';

export interface Found {
  traces: TraceRow[];
  partial: string[];
  /** How much of the time range is done, of 1. */
  share: number;
  done: boolean;
  /** Whether the search stopped because there were enough. */
  cut: boolean;
  error: Error | undefined;
}

const NOTHING: Found = { traces: [], partial: [], share: 0, done: false, cut: false, error: undefined };

export interface Wanted {
  q: string;
  range: TimeRange;
  limit: number;
}

async function run(wanted: Wanted, signal: AbortSignal, report: (found: Found) => void): Promise<void> {
  const { q, range, limit } = wanted;
  let found = NOTHING;
  for (const stretch of stretches(range)) {
    const answer = await api.search({ q, range: stretch, limit, spansPerTrace: 5 }, signal);
    if (signal.aborted) return;
    const traces = merge(found.traces, answer.body.traces.map(toRow));
    const partial = answer.partial && !found.partial.includes(answer.partial) ? [answer.partial] : [];
    const share = (range.end - stretch.start) / (range.end - range.start);
    const cut = traces.length >= limit;
    const done = cut || stretch.start <= range.start;
    found = { traces: traces.slice(0, limit), partial: [...found.partial, ...partial], share, done, cut, error: undefined };
    report(found);
    if (done) return;
  }
}

/** Runs a search whenever `key` changes. Results of the search before stay until there are new ones. */
export function useSearch(key: string | undefined, wanted: Wanted): Found {
  const [found, setFound] = useState<Found>(NOTHING);
  const latest = useRef(wanted);
  latest.current = wanted;
  useEffect(() => {
    if (key === undefined) {
      setFound({ ...NOTHING, done: true, share: 1 });
      return undefined;
    }
    const abort = new AbortController();
    setFound((before) => ({ ...before, done: false, share: 0, error: undefined }));
    run(latest.current, abort.signal, setFound).catch((reason: unknown) => {
      if (abort.signal.aborted) return;
      const error = reason instanceof Error ? reason : new Error(String(reason));
      setFound({ ...NOTHING, done: true, error });
    });
    return () => abort.abort();
  }, [key]);
  return found;
}
