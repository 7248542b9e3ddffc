// The critical path: of every moment of a trace, the span that what came after was waiting for.

import type { Span } from './model';

export interface Segment {
  start: number;
  end: number;
}

interface Frame {
  span: Span;
  /** Children by their ends, latest first. */
  children: Span[];
  next: number;
  /** Up to here time is still to be given to somebody. */
  cursor: number;
}

function endWithin(child: Span, parent: Span): number {
  return Math.min(child.start + child.duration, parent.start + parent.duration);
}

/**
 * Walks back from the root's end: the child that ended last before the cursor is what was waited for, and the time
 * since then is the span's own. Returns each span's segments by its index.
 */
export function criticalPath(spans: Span[]): Map<number, Segment[]> {
  const path = new Map<number, Segment[]>();
  const root = longestRoot(spans);
  if (!root) return path;
  const children = childrenOf(spans);
  const frame = (span: Span, cursor: number): Frame => {
    const below = [...(children.get(span.index) ?? [])];
    below.sort((a, b) => endWithin(b, span) - endWithin(a, span) || b.start - a.start);
    return { span, children: below, next: 0, cursor };
  };
  const take = (span: Span, start: number, end: number) => {
    if (end <= start) return;
    const known = path.get(span.index);
    if (known) known.push({ start, end });
    else path.set(span.index, [{ start, end }]);
  };
  const stack = [frame(root, root.start + root.duration)];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const child = top.children[top.next];
    if (!child) {
      take(top.span, top.span.start, top.cursor);
      stack.pop();
      continue;
    }
    top.next += 1;
    const end = endWithin(child, top.span);
    const start = Math.max(child.start, top.span.start);
    if (end > top.cursor || start >= end) continue;
    take(top.span, end, top.cursor);
    top.cursor = start;
    stack.push(frame(child, end));
  }
  return path;
}

function longestRoot(spans: Span[]): Span | undefined {
  let best: Span | undefined;
  for (const span of spans) {
    if (span.parent >= 0) continue;
    const isBetter = !best || (best.orphan && !span.orphan) || (best.orphan === span.orphan && span.duration > best.duration);
    if (isBetter) best = span;
  }
  return best;
}

function childrenOf(spans: Span[]): Map<number, Span[]> {
  const children = new Map<number, Span[]>();
  for (const span of spans) {
    const known = children.get(span.parent);
    if (known) known.push(span);
    else children.set(span.parent, [span]);
  }
  return children;
}
