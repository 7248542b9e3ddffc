// A trace as the views need it: spans in the order of the tree, each with what it alone took.

import type { KeyValue, OtlpEvent, OtlpLink, OtlpScope, OtlpSpan, ResourceSpans } from '../api';
import { textOf } from '../values';

export interface Span {
  /** Its place in the order of the tree: its subtree is what follows it, `size` spans with itself. */
  index: number;
  size: number;
  depth: number;
  /** Index of the parent; -1 for roots. */
  parent: number;
  /** Whether it names a parent that is not in the trace. */
  orphan: boolean;
  id: string;
  parentId: string;
  name: string;
  service: string;
  kind: string;
  error: boolean;
  /** Nanoseconds since the trace began. */
  start: number;
  /** Nanoseconds. */
  duration: number;
  /** Nanoseconds in which no child ran. */
  self: number;
  attributes: KeyValue[];
  resource: KeyValue[];
  scope: OtlpScope;
  events: OtlpEvent[];
  links: OtlpLink[];
  status: { code?: string; message?: string };
  dropped: number;
}

export interface ServiceSum {
  name: string;
  spans: number;
  errors: number;
}

export interface TraceModel {
  spans: Span[];
  byId: Map<string, Span>;
  services: ServiceSum[];
  errors: number;
  depth: number;
  /** Unix time of the beginning: whole seconds and nanoseconds. */
  origin: { seconds: number; nanos: number };
  duration: number;
}

interface Raw {
  span: OtlpSpan;
  service: string;
  resource: KeyValue[];
  scope: OtlpScope;
}

/** Base64 bytes as lower-case hex. */
export function hex(base64: string | undefined): string {
  if (!base64) return '';
  let bytes: string;
  try {
    bytes = atob(base64);
  } catch {
    return base64.toLowerCase();
  }
  let text = '';
  for (let at = 0; at < bytes.length; at += 1) text += bytes.charCodeAt(at).toString(16).padStart(2, '0');
  return text;
}

/** Unix nanoseconds as seconds and the rest: a double has no room for both. */
export function splitNanos(text: string | undefined): { seconds: number; nanos: number } {
  const digits = text ?? '0';
  return { seconds: Number(digits.slice(0, -9) || 0), nanos: Number(digits.slice(-9)) };
}

function flatten(resources: ResourceSpans[]): Raw[] {
  const found: Raw[] = [];
  for (const { resource, scopeSpans = [] } of resources) {
    const attributes = resource?.attributes ?? [];
    const service = textOf(attributes.find(({ key }) => key === 'service.name')?.value);
    for (const { scope = {}, spans = [] } of scopeSpans) {
      for (const span of spans) found.push({ span, service, resource: attributes, scope });
    }
  }
  return found;
}

function originOf(raws: Raw[]): { seconds: number; nanos: number } {
  let least = { seconds: Infinity, nanos: 0 };
  for (const { span } of raws) {
    const time = splitNanos(span.startTimeUnixNano);
    const isEarlier = time.seconds < least.seconds || (time.seconds === least.seconds && time.nanos < least.nanos);
    if (isEarlier && time.seconds > 0) least = time;
  }
  return least.seconds === Infinity ? { seconds: 0, nanos: 0 } : least;
}

function toSpan({ span, service, resource, scope }: Raw, origin: { seconds: number; nanos: number }): Span {
  const since = (text: string | undefined) => {
    const { seconds, nanos } = splitNanos(text);
    return (seconds - origin.seconds) * 1e9 + nanos - origin.nanos;
  };
  const start = Math.max(since(span.startTimeUnixNano), 0);
  const own = span.attributes?.find(({ key }) => key === 'service.name');
  return {
    index: 0,
    size: 1,
    depth: 0,
    parent: -1,
    orphan: false,
    id: hex(span.spanId),
    parentId: hex(span.parentSpanId),
    name: span.name ?? '',
    service: service || textOf(own?.value),
    kind: (span.kind ?? '').replace('SPAN_KIND_', '').toLowerCase(),
    error: span.status?.code === 'STATUS_CODE_ERROR',
    start,
    duration: Math.max(since(span.endTimeUnixNano) - start, 0),
    self: 0,
    attributes: span.attributes ?? [],
    resource,
    scope,
    events: span.events ?? [],
    links: span.links ?? [],
    status: span.status ?? {},
    dropped: span.droppedAttributesCount ?? 0,
  };
}

/** The tree of a trace. Spans without their parent are roots, and so is one span of every circle. */
export function buildTrace(resources: ResourceSpans[]): TraceModel {
  const raws = flatten(resources);
  const origin = originOf(raws);
  const all = raws.map((raw) => toSpan(raw, origin));
  const byId = new Map<string, Span>();
  // Of a client and a server that share an id the server is what called further.
  for (const span of all) if (!byId.has(span.id) || span.kind === 'server') byId.set(span.id, span);
  const children = new Map<Span, Span[]>();
  const roots: Span[] = [];
  for (const span of all) {
    const parent = parentOf(span, byId);
    span.orphan = !parent && span.parentId !== '';
    if (parent) {
      const known = children.get(parent);
      if (known) known.push(span);
      else children.set(parent, [span]);
    } else roots.push(span);
  }
  const spans = inOrder(all, roots, children);
  selfTimes(spans);
  const duration = spans.reduce((most, span) => Math.max(most, span.start + span.duration), 0);
  const depth = spans.reduce((most, span) => Math.max(most, span.depth + 1), 0);
  const errors = spans.reduce((sum, span) => sum + Number(span.error), 0);
  return { spans, byId, services: sumServices(spans), errors, depth, origin, duration };
}

function parentOf(span: Span, byId: Map<string, Span>): Span | undefined {
  if (span.parentId === '') return undefined;
  const parent = byId.get(span.parentId);
  return parent === span ? undefined : parent;
}

const earlier = (a: Span, b: Span) => a.start - b.start || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

function inOrder(all: Span[], roots: Span[], children: Map<Span, Span[]>): Span[] {
  const ordered: Span[] = [];
  const seen = new Set<Span>();
  const walk = (root: Span) => {
    const stack: [Span, Span | undefined][] = [[root, undefined]];
    for (let next = stack.pop(); next; next = stack.pop()) {
      const [span, parent] = next;
      if (seen.has(span)) continue;
      seen.add(span);
      span.index = ordered.length;
      span.parent = parent ? parent.index : -1;
      span.depth = parent ? parent.depth + 1 : 0;
      ordered.push(span);
      const below = children.get(span)?.sort(earlier) ?? [];
      for (let at = below.length - 1; at >= 0; at -= 1) {
        const child = below[at];
        if (child) stack.push([child, span]);
      }
    }
  };
  roots.sort(earlier).forEach(walk);
  if (seen.size < all.length) for (const span of [...all].sort(earlier)) if (!seen.has(span)) walk(span);
  for (let at = ordered.length - 1; at >= 0; at -= 1) {
    const span = ordered[at];
    const parent = span && ordered[span.parent];
    if (span && parent) parent.size += span.size;
  }
  return ordered;
}

/** What is left of each span's time when that of its children is taken away, overlaps once. */
function selfTimes(spans: Span[]): void {
  const coveredUntil = new Float64Array(spans.length);
  for (const span of spans) {
    span.self = span.duration;
    coveredUntil[span.index] = span.start;
  }
  // Siblings come in the order of their starts.
  for (const span of spans) {
    const parent = spans[span.parent];
    if (!parent) continue;
    const from = Math.max(span.start, coveredUntil[parent.index] ?? 0);
    const until = Math.min(span.start + span.duration, parent.start + parent.duration);
    if (until <= from) continue;
    parent.self -= until - from;
    coveredUntil[parent.index] = until;
  }
}

function sumServices(spans: Span[]): ServiceSum[] {
  const sums = new Map<string, ServiceSum>();
  for (const { service, error } of spans) {
    const sum = sums.get(service) ?? { name: service, spans: 0, errors: 0 };
    sum.spans += 1;
    sum.errors += Number(error);
    sums.set(service, sum);
  }
  return [...sums.values()].sort((a, b) => b.spans - a.spans || a.name.localeCompare(b.name));
}

/** Unix milliseconds of a time within the trace. */
export function unixMillis(model: TraceModel, nanos = 0): number {
  return model.origin.seconds * 1e3 + (model.origin.nanos + nanos) / 1e6;
}

/** The spans that are shown when the subtrees of some are folded away, as indices. */
export function visible(spans: Span[], collapsed: ReadonlySet<number>): Int32Array {
  const shown = new Int32Array(spans.length);
  let length = 0;
  for (let at = 0; at < spans.length; ) {
    shown[length] = at;
    length += 1;
    at += collapsed.has(at) ? (spans[at]?.size ?? 1) : 1;
  }
  return shown.subarray(0, length);
}

/** Failed spans below which nothing failed: where errors began. */
export function origins(spans: Span[]): Span[] {
  const failedBelow = new Uint8Array(spans.length);
  const found: Span[] = [];
  for (let at = spans.length - 1; at >= 0; at -= 1) {
    const span = spans[at];
    if (!span) continue;
    if (span.error && !failedBelow[at]) found.push(span);
    if ((span.error || failedBelow[at]) && span.parent >= 0) failedBelow[span.parent] = 1;
  }
  return found.reverse();
}
