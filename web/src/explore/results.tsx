import { useState } from 'preact/hooks';

import { ago, compact, count, dateTime, duration, shortDateTime } from '../format';
import { address, navigate, update } from '../router';
import { text } from '../text';
import { Dot, Link } from '../ui/basics';
import { textOf } from '../values';
import type { TraceRow } from './rows';
import { type SortKey, hovered, sort } from './state';

interface ResultsProps {
  rows: TraceRow[];
  picked: string[];
  onPick: (id: string) => void;
}

const PAGE = 100;

const VALUE: Record<SortKey, (row: TraceRow) => number> = {
  started: (row) => row.start,
  took: (row) => row.duration,
  spans: (row) => row.spans,
  errors: (row) => row.errors,
};

export function Results({ rows, picked, onPick }: ResultsProps) {
  const [shown, setShown] = useState(PAGE);
  const value = VALUE[sort.value];
  const sorted = [...rows].sort((a, b) => value(b) - value(a) || b.start - a.start);
  const longest = Math.max(...rows.map((row) => row.duration), 1);
  const words = text.explore;
  return (
    <>
      <div class="scroll-x">
        <table class="results" onKeyDown={walk}>
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">{words.compare}</span>
              </th>
              <th scope="col">{words.trace}</th>
              <Sortable name="took" label={words.took} class="num" />
              <Sortable name="spans" label={words.spans} class="num wide" />
              <th scope="col" class="wide">
                {words.services}
              </th>
              <Sortable name="errors" label={text.mesh.errors} class="num" />
              <Sortable name="started" label={words.started} class="num" />
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, shown).map((row) => (
              <Row
                key={row.id}
                row={row}
                longest={longest}
                picked={picked.includes(row.id)}
                onPick={() => onPick(row.id)}
              />
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > shown && (
        <button type="button" class="button quiet more" onClick={() => setShown(shown + PAGE * 2)}>
          {words.more} ({count(sorted.length - shown)})
        </button>
      )}
    </>
  );
}

function Sortable({ name, label, class: style }: { name: SortKey; label: string; class: string }) {
  const isSorted = sort.value === name;
  return (
    <th scope="col" class={style} aria-sort={isSorted ? 'descending' : undefined}>
      <button
        type="button"
        class="sort"
        title={`${text.explore.sortBy} ${label.toLowerCase()}`}
        onClick={() => update({ sort: name === 'started' ? '' : name }, { replace: true })}
      >
        {label}
        {isSorted && <span aria-hidden="true"> ↓</span>}
      </button>
    </th>
  );
}

/** Up and down go from trace to trace. */
function walk(event: KeyboardEvent): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const links = [...document.querySelectorAll<HTMLElement>('.results a.name')];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[at + (event.key === 'ArrowDown' ? 1 : -1)];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

interface RowProps {
  row: TraceRow;
  longest: number;
  picked: boolean;
  onPick: () => void;
}

function Row({ row, longest, picked, onPick }: RowProps) {
  const [open, setOpen] = useState(false);
  const to = address(['trace', row.id]);
  const name = row.name || text.trace.noRoot;
  const now = Date.now();
  const goThere = (event: MouseEvent) => {
    if (!(event.target as Element).closest('a, button, input')) navigate(to);
  };
  return (
    <>
      <tr
        class={`trace-row${row.id === hovered.value ? ' hovered' : ''}`}
        onMouseEnter={() => (hovered.value = row.id)}
        onMouseLeave={() => (hovered.value = '')}
        onClick={goThere}
      >
        <td class="pick">
          <input type="checkbox" aria-label={text.explore.pick(`${row.service} ${name}`)} checked={picked} onChange={onPick} />
        </td>
        <td class="what">
          <Link class="name" to={to}>
            <Dot service={row.service} />
            <span class="ellipsis">
              <strong>{row.service || text.trace.noService}</strong> {name}
            </span>
          </Link>
          {row.matched > 0 && (
            <button
              type="button"
              class="button quiet tiny wide"
              aria-expanded={open}
              title={`${text.explore.matched}: ${row.matched} ${text.explore.spans.toLowerCase()}`}
              onClick={() => setOpen(!open)}
            >
              {count(row.matched)} <span aria-hidden="true">{open ? '▴' : '▾'}</span>
              <span class="visually-hidden">{text.explore.matched}</span>
            </button>
          )}
        </td>
        <td class="num took">
          <span class="took-box">
            <span class="bar" aria-hidden="true">
              <span
                class={row.errors > 0 ? 'error' : ''}
                style={{ width: `${Math.max((row.duration / longest) * 100, 1)}%` }}
              />
            </span>
            <span>{duration(row.duration)}</span>
          </span>
        </td>
        <td class="num wide">{compact(row.spans)}</td>
        <td class="wide services" title={row.services.join(', ')}>
          {row.services.slice(0, 8).map((service) => (
            <Dot key={service} service={service} />
          ))}{' '}
          <span class="muted">{row.services.length}</span>
        </td>
        <td class="num">{row.errors > 0 ? <span class="tag error">{compact(row.errors)}</span> : ''}</td>
        <td class="num muted when" title={`${dateTime(row.start)} · ${ago(row.start, now)}`}>
          {shortDateTime(row.start, now)}
        </td>
      </tr>
      {open && (
        <tr>
          <td />
          <td colSpan={6}>
            <Matched row={row} />
          </td>
        </tr>
      )}
    </>
  );
}

function Matched({ row }: { row: TraceRow }) {
  const spans = row.spanSets.flatMap((set) => set.spans ?? []);
  return (
    <ul class="matched">
      {spans.map((span) => (
        <li key={span.spanID} class="row wrap">
          <Link to={address(['trace', row.id], { span: span.spanID })}>{span.name || text.trace.noName}</Link>
          <span>{duration(Number(span.durationNanos ?? 0))}</span>
          {(span.attributes ?? []).map(({ key, value }) => (
            <span key={key} class="tag mono">
              {key}={textOf(value)}
            </span>
          ))}
        </li>
      ))}
    </ul>
  );
}
