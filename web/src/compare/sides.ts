// Which spans of two traces differ. The server says it by paths: at each level the number of a span among its siblings.

import type { TracePatch } from '../api';
import type { Span, TraceModel } from '../trace/model';

export type Mark = 'same' | 'added' | 'removed' | 'modified';

export interface Side {
  model: TraceModel;
  rows: { span: Span; mark: Mark }[];
}

/** The path of every span, as text. */
export function paths(model: TraceModel): string[] {
  const found: string[] = [];
  const next = new Map<number, number>();
  for (const span of model.spans) {
    const place = next.get(span.parent) ?? 0;
    next.set(span.parent, place + 1);
    found.push(span.parent < 0 ? String(place) : `${found[span.parent] ?? ''}.${place}`);
  }
  return found;
}

export function sides(base: TraceModel, other: TraceModel, patch: TracePatch): { left: Side; right: Side } {
  const pathsOf = (list: { span: { path: number[] } }[] | undefined) =>
    new Set((list ?? []).map(({ span }) => span.path.join('.')));
  const [added, removed, modified] = [pathsOf(patch.added), pathsOf(patch.removed), pathsOf(patch.modified)];
  const side = (model: TraceModel, own: Set<string>, mark: Mark, changed: Set<string>): Side => {
    const known = paths(model);
    const rows = model.spans.map((span) => {
      const path = known[span.index] ?? '';
      return { span, mark: own.has(path) ? mark : changed.has(path) ? ('modified' as const) : ('same' as const) };
    });
    return { model, rows };
  };
  return { left: side(base, removed, 'removed', new Set()), right: side(other, added, 'added', modified) };
}
