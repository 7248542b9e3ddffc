import { useEffect, useState } from 'preact/hooks';

import type { KeyValue } from '../api';
import { textOf } from '../values';
import type { Span, TraceModel } from './model';

export function contains(span: Span, needle: string): boolean {
  const has = (text: string) => text.toLowerCase().includes(needle);
  const inAttributes = (attributes: KeyValue[]) => attributes.some(({ key, value }) => has(key) || has(textOf(value)));
  return (
    has(span.name) ||
    has(span.service) ||
    span.id.includes(needle) ||
    has(span.status.message ?? '') ||
    inAttributes(span.attributes) ||
    inAttributes(span.resource) ||
    span.events.some((event) => has(event.name ?? '') || inAttributes(event.attributes ?? []))
  );
}

/** Spans looked at before the page gets its turn again. */
const SLICE = 4000;

const NONE: number[] = [];

/** Indices of spans that contain a text, found piece by piece so that typing is not held up. */
export function useMatches(model: TraceModel | undefined, wanted: string): number[] {
  const [matches, setMatches] = useState<number[]>(NONE);
  useEffect(() => {
    const needle = wanted.trim().toLowerCase();
    if (!model || needle === '') {
      setMatches(NONE);
      return undefined;
    }
    const found: number[] = [];
    let at = 0;
    let timer = 0;
    const look = () => {
      const end = Math.min(at + SLICE, model.spans.length);
      for (; at < end; at += 1) {
        const span = model.spans[at];
        if (span && contains(span, needle)) found.push(at);
      }
      if (at < model.spans.length) timer = window.setTimeout(look);
      else setMatches(found);
    };
    timer = window.setTimeout(look, 80);
    return () => window.clearTimeout(timer);
  }, [model, wanted]);
  return matches;
}
