// Tables and the flame graph: spans of the same service and operation taken together.

import type { Span } from './model';

export interface Sum {
  key: string;
  service: string;
  name: string;
  spans: number;
  errors: number;
  total: number;
  self: number;
  longest: number;
}

/** Sums by service, or by service and operation; most self time first. */
export function sums(spans: Span[], by: 'service' | 'operation'): Sum[] {
  const found = new Map<string, Sum>();
  for (const { service, name, error, duration, self } of spans) {
    const key = by === 'service' ? service : `${service}\u0000${name}`;
    let sum = found.get(key);
    if (!sum) {
      sum = { key, service, name: by === 'service' ? '' : name, spans: 0, errors: 0, total: 0, self: 0, longest: 0 };
      found.set(key, sum);
    }
    sum.spans += 1;
    sum.errors += Number(error);
    sum.total += duration;
    sum.self += self;
    sum.longest = Math.max(sum.longest, duration);
  }
  return [...found.values()].sort((a, b) => b.self - a.self);
}

export interface Flame {
  service: string;
  name: string;
  depth: number;
  spans: number;
  errors: number;
  /** Self time of its spans, and with that of everything below. */
  self: number;
  total: number;
  children: Flame[];
  /** Index of one of its spans, the longest. */
  example: number;
}

/** Spans of the same service and operation under the same parent become one node. */
export function flame(spans: Span[]): Flame {
  const root = node('', '', 0);
  const nodes: Flame[] = [];
  const known = new Map<Flame, Map<string, Flame>>();
  for (const span of spans) {
    const parent = nodes[span.parent] ?? root;
    let siblings = known.get(parent);
    if (!siblings) {
      siblings = new Map();
      known.set(parent, siblings);
    }
    const key = `${span.service}\u0000${span.name}`;
    let found = siblings.get(key);
    if (!found) {
      found = node(span.service, span.name, parent.depth + 1);
      found.example = span.index;
      siblings.set(key, found);
      parent.children.push(found);
    }
    found.spans += 1;
    found.errors += Number(span.error);
    found.self += span.self;
    if (span.duration > (spans[found.example]?.duration ?? 0)) found.example = span.index;
    nodes[span.index] = found;
  }
  addTotals(root);
  return root;
}

function node(service: string, name: string, depth: number): Flame {
  return { service, name, depth, spans: 0, errors: 0, self: 0, total: 0, children: [], example: -1 };
}

function addTotals(root: Flame): void {
  const ordered = [root];
  for (let at = 0; at < ordered.length; at += 1) {
    for (const child of ordered[at]?.children ?? []) ordered.push(child);
  }
  for (const one of ordered.reverse()) {
    one.total = one.children.reduce((sum, child) => sum + child.total, one.self);
    one.children.sort((a, b) => b.total - a.total);
  }
}
