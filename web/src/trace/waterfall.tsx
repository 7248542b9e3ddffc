import type { RefObject } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { duration } from '../format';
import { text } from '../text';
import { colorOf } from '../ui/colors';
import type { Segment } from './critical';
import { Minimap } from './minimap';
import { type Span, type TraceModel, visible } from './model';

export const ROW = 26;
/** Rows drawn beyond what is seen. */
const MARGIN = 8;
const INDENT = 14;
/** Deeper levels are not moved further to the right. */
const MAX_INDENT = 24;

export interface Window {
  start: number;
  end: number;
}

interface WaterfallProps {
  model: TraceModel;
  path: Map<number, Segment[]> | undefined;
  collapsed: ReadonlySet<number>;
  matches: ReadonlySet<number>;
  selected: number;
  zoom: Window;
  onZoom: (zoom: Window | undefined) => void;
  onSelect: (index: number) => void;
  onToggle: (index: number) => void;
}

/** The spans over time. Only rows that are seen are there, so that a trace of any size scrolls alike. */
export function Waterfall(props: WaterfallProps) {
  const { model, collapsed, selected, zoom, onZoom } = props;
  const shown = useMemo(() => visible(model.spans, collapsed), [model, collapsed]);
  const scroller = useRef<HTMLDivElement>(null);
  const { first, last } = useRows(scroller, shown.length);
  useEffect(() => reveal(scroller.current, shown.indexOf(selected)), [selected, shown]);
  const rows = [];
  for (let at = first; at < last; at += 1) {
    const span = model.spans[shown[at] ?? -1];
    if (span) rows.push(<Row key={span.index} span={span} at={at} {...props} />);
  }
  return (
    <div class="waterfall">
      <Minimap model={model} zoom={zoom} onZoom={onZoom} />
      <Ruler zoom={zoom} />
      <div
        class="rows"
        ref={scroller}
        role="treegrid"
        tabIndex={0}
        aria-label={text.trace.tree}
        aria-rowcount={shown.length}
        aria-activedescendant={selected >= 0 ? `span-${selected}` : undefined}
        style={{ height: `${shown.length * ROW}px` }}
        onKeyDown={(event) => move(event, shown, props)}
      >
        <div role="presentation" style={{ height: `${shown.length * ROW}px`, position: 'relative' }}>
          {rows}
        </div>
      </div>
    </div>
  );
}

/** Which rows are within sight. */
function useRows(scroller: RefObject<HTMLDivElement>, length: number) {
  const [place, setPlace] = useState({ top: 0, height: 600 });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const read = () => setPlace({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(read);
    observer.observe(element);
    element.addEventListener('scroll', read, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', read);
    };
  }, [scroller]);
  const first = Math.max(0, Math.floor(place.top / ROW) - MARGIN);
  const last = Math.min(length, Math.ceil((place.top + place.height) / ROW) + MARGIN);
  return { first, last };
}

function reveal(scroller: HTMLDivElement | null, at: number): void {
  if (!scroller || at < 0) return;
  const top = at * ROW;
  const { scrollTop, clientHeight } = scroller;
  if (top < scrollTop || top + ROW > scrollTop + clientHeight) scroller.scrollTop = top - clientHeight / 3;
}

function move(event: KeyboardEvent, shown: Int32Array, props: WaterfallProps): void {
  const { model, collapsed, selected, onSelect, onToggle } = props;
  const at = shown.indexOf(selected);
  const span = model.spans[selected];
  const go = (to: number) => onSelect(shown[Math.max(0, Math.min(shown.length - 1, to))] ?? 0);
  const page = Math.max(1, Math.floor((event.currentTarget as HTMLElement).clientHeight / ROW) - 1);
  const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
  const step = steps[event.key];
  if (step !== undefined) go(at + step);
  else if (event.key === 'Home') go(0);
  else if (event.key === 'End') go(shown.length - 1);
  else if (event.key === 'ArrowLeft' && span) {
    if (span.size > 1 && !collapsed.has(selected)) onToggle(selected);
    else if (span.parent >= 0) onSelect(span.parent);
  } else if (event.key === 'ArrowRight' && span) {
    if (collapsed.has(selected)) onToggle(selected);
    else go(at + 1);
  } else return;
  event.preventDefault();
}

function Ruler({ zoom }: { zoom: Window }) {
  const ticks = [0, 0.25, 0.5, 0.75];
  return (
    <div class="ruler small muted" aria-hidden="true">
      <span class="left">{text.trace.span}</span>
      <span class="right">
        {ticks.map((share) => (
          <span key={share} style={{ left: `${share * 100}%` }}>
            {duration(zoom.start + share * (zoom.end - zoom.start))}
          </span>
        ))}
      </span>
    </div>
  );
}

interface RowProps extends WaterfallProps {
  span: Span;
  at: number;
}

function Row({ span, at, path, collapsed, matches, selected, zoom, onSelect, onToggle }: RowProps) {
  const isCollapsed = collapsed.has(span.index);
  const hasChildren = span.size > 1;
  const name = span.name || text.trace.noName;
  const state = `${span.index === selected ? ' selected' : ''}${matches.has(span.index) ? ' match' : ''}${span.error ? ' error' : ''}`;
  return (
    <div
      class={`span-row${state}`}
      id={`span-${span.index}`}
      role="row"
      aria-rowindex={at + 1}
      aria-level={span.depth + 1}
      aria-selected={span.index === selected}
      aria-expanded={hasChildren ? !isCollapsed : undefined}
      aria-label={text.trace.rowLabel(name, span.service, duration(span.duration), span.error)}
      style={{ transform: `translateY(${at * ROW}px)` }}
      onClick={() => onSelect(span.index)}
    >
      <div class="left" role="gridcell" style={{ paddingLeft: `${Math.min(span.depth, MAX_INDENT) * INDENT + 4}px` }}>
        {hasChildren ? (
          <button
            type="button"
            class="fold"
            tabIndex={-1}
            aria-label={isCollapsed ? text.trace.expand(name) : text.trace.collapse(name)}
            onClick={(event) => {
              event.stopPropagation();
              onToggle(span.index);
            }}
          >
            {isCollapsed ? '▸' : '▾'}
          </button>
        ) : (
          <span class="fold" />
        )}
        <span class="stripe" style={{ background: colorOf(span.service) }} />
        {span.error && (
          <span class="bad" aria-hidden="true">
            ●
          </span>
        )}
        <span class="ellipsis" title={`${span.service} ${name}`}>
          <strong>{span.service || text.trace.noService}</strong> <span class="muted">{name}</span>
        </span>
        {isCollapsed && <span class="tag">{span.size}</span>}
      </div>
      <Bar span={span} segments={path?.get(span.index)} zoom={zoom} />
    </div>
  );
}

function Bar({ span, segments, zoom }: { span: Span; segments: Segment[] | undefined; zoom: Window }) {
  const length = zoom.end - zoom.start || 1;
  const share = (time: number) => Math.max(0, Math.min(1, (time - zoom.start) / length));
  const [from, to] = [share(span.start), share(span.start + span.duration)];
  const isOutside = span.start > zoom.end || span.start + span.duration < zoom.start;
  const place = to > 0.82 ? (from > 0.18 ? { right: `${(1 - from) * 100}%` } : { right: '4px' }) : { left: `${to * 100}%` };
  return (
    <div class="right" role="gridcell">
      {!isOutside && (
        <>
          <span
            class={span.error ? 'bar error' : 'bar'}
            style={{ left: `${from * 100}%`, width: `max(2px, ${(to - from) * 100}%)`, background: colorOf(span.service) }}
          />
          {segments?.map(({ start, end }) => (
            <span
              key={start}
              class="critical"
              style={{ left: `${share(start) * 100}%`, width: `max(1px, ${(share(end) - share(start)) * 100}%)` }}
            />
          ))}
          <span class={to > 0.82 && from <= 0.18 ? 'took inside' : 'took'} style={place}>
            {duration(span.duration)}
          </span>
        </>
      )}
    </div>
  );
}
