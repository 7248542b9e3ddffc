import '../styles/explore.css';

import { useEffect, useMemo, useState } from 'preact/hooks';

import { ApiError } from '../api';
import { count } from '../format';
import { type Built, EMPTY, build, narrow, read } from '../query';
import { address, update } from '../router';
import { beat, range, refresh, setTime, tenant } from '../state';
import { text } from '../text';
import type { TimeRange } from '../time';
import { Empty, Failure, Link, Partial, Progress, Segments, Skeleton } from '../ui/basics';
import { useKeys } from '../ui/keys';
import { useModule } from '../ui/module';
import type { Area } from './area';
import { Builder } from './builder';
import { Results } from './results';
import type { TraceRow } from './rows';
import { type Found, useSearch } from './search';
import * as state from './state';

const loadEditor = () => import('./editor');
const loadScatter = () => import('./scatter');
const loadHeatmap = () => import('./heatmap');

export default function Explore() {
  const q = state.query.value;
  const { value: limit } = state.limit;
  const asked = range.value;
  const area = state.area.value;
  const heatmapArea = state.plot.value === 'heatmap' ? area : undefined;
  const key = `${q} ${limit} ${asked.start} ${asked.end} ${beat.value} ${tenant.value}`;
  const found = useSearch(key, { q, range: asked, limit });
  const inArea = useSearch(heatmapArea && `${key} ${JSON.stringify(heatmapArea)}`, areaSearch(q, heatmapArea, limit));
  const listed = heatmapArea ? inArea : found;
  const rows = useMemo(() => within(listed.traces, heatmapArea ? undefined : area), [listed.traces, heatmapArea, area]);
  useEffect(() => {
    document.title = `${text.explore.title} · ${text.brand}`;
  }, []);
  return (
    <>
      <h1 class="visually-hidden">{text.explore.title}</h1>
      <Query error={found.error} />
      {found.error ? (
        <Failure error={found.error} />
      ) : (
        <>
          <PlotPanel found={found} area={area} />
          <List found={listed} rows={rows} area={area} />
        </>
      )}
    </>
  );
}

/** What a search within an area of the heatmap asks. */
function areaSearch(q: string, area: Area | undefined, limit: number) {
  if (!area) return { q, range: range.value, limit };
  const { start, end, shortest, longest } = area;
  const ns = (value: number) => `${Math.round(value)}ns`;
  const condition = `duration >= ${ns(shortest)} && duration <= ${ns(longest)}`;
  return { q: narrow(q, condition), range: { start, end }, limit };
}

function within(rows: TraceRow[], area: Area | undefined): TraceRow[] {
  if (!area) return rows;
  const { start, end, shortest, longest } = area;
  const fits = ({ start: at, duration }: TraceRow) => {
    const nanos = Math.max(duration, 1e4);
    return at >= start && at <= end && nanos >= shortest && nanos <= longest;
  };
  return rows.filter(fits);
}

function Query({ error }: { error: Error | undefined }) {
  const q = state.query.value;
  const readable = useMemo(() => read(q), [q]);
  const mode = state.mode.value === 'query' || !readable ? 'query' : 'builder';
  const [draft, setDraft] = useState(q);
  const [built, setBuilt] = useState<Built>(readable ?? EMPTY);
  useEffect(() => {
    setDraft(q);
    if (readable) setBuilt(readable);
  }, [q, readable]);
  const editor = useModule(mode === 'query' ? loadEditor : undefined);
  const run = (next: string) => {
    if (next.trim() === q) refresh();
    else state.ask(next.trim() || '{}');
  };
  const runBuilt = (next: Built) => {
    setBuilt(next);
    run(build(next));
  };
  useKeys({
    '/': (event) => {
      event.preventDefault();
      focusQuery();
    },
  });
  const position = error instanceof ApiError ? error.position : undefined;
  return (
    <section class="panel query" aria-label={text.explore.queryLabel}>
      <div class="query-bar">
        <Segments
          label={text.explore.mode}
          value={mode}
          options={[
            ['builder', text.explore.builder],
            ['query', text.explore.query],
          ]}
          onChoose={(next) => update({ mode: next === 'query' ? 'query' : '' }, { replace: true })}
        />
        {mode === 'query' ? (
          <div class="grow editor-box">
            {editor ? (
              <editor.default value={q} error={position} onChange={setDraft} onRun={run} />
            ) : (
              <div class="skeleton" style={{ height: '30px' }} />
            )}
          </div>
        ) : (
          <code class="grow ellipsis muted preview" title={build(built)}>
            {build(built)}
          </code>
        )}
        <LimitChoice />
        <button type="button" class="button primary" onClick={() => run(mode === 'query' ? draft : build(built))}>
          {text.explore.run}
        </button>
      </div>
      {mode === 'builder' && <Builder built={built} onChange={setBuilt} onRun={runBuilt} />}
      {mode === 'query' && !readable && state.mode.value === 'builder' && (
        <p class="small muted richer">{text.explore.richer}</p>
      )}
    </section>
  );
}

function focusQuery(): void {
  const editor = document.querySelector<HTMLElement>('.editor');
  const content = editor?.shadowRoot?.querySelector<HTMLElement>('.cm-content');
  (content ?? document.querySelector<HTMLElement>('.builder input'))?.focus();
}

function LimitChoice() {
  const { value: limit } = state.limit;
  const choices = [...new Set([...state.LIMITS, limit])].sort((a, b) => a - b);
  return (
    <label class="row small">
      <span class="muted wide">{text.explore.limit}</span>
      <select
        class="select"
        aria-label={text.explore.limit}
        value={limit}
        onChange={(event) => {
          const chosen = Number(event.currentTarget.value);
          update({ limit: chosen === state.DEFAULT_LIMIT ? '' : chosen });
        }}
      >
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    </label>
  );
}

function PlotPanel({ found, area }: { found: Found; area: Area | undefined }) {
  const kind = state.plot.value;
  const scatter = useModule(kind === 'scatter' ? loadScatter : undefined);
  const heatmap = useModule(kind === 'heatmap' ? loadHeatmap : undefined);
  const asked = range.value;
  return (
    <section class="panel" aria-label={text.explore.plot}>
      <header>
        <Segments
          label={text.explore.plot}
          value={kind}
          options={[
            ['scatter', text.explore.scatter],
            ['heatmap', text.explore.heatmap],
          ]}
          onChoose={(next) => update({ plot: next === 'heatmap' ? next : '', sel: '' }, { replace: true })}
        />
        <span class="small muted grow hint">
          {kind === 'scatter' ? text.explore.scatterHint : text.explore.heatmapHint}
        </span>
        {area && (
          <div class="row">
            <button
              type="button"
              class="button"
              onClick={() => {
                setTime({ from: String(Math.floor(area.start)), to: String(Math.ceil(area.end)) });
                update({ sel: '' }, { replace: true });
              }}
            >
              {text.explore.zoomSelection}
            </button>
            <button type="button" class="button" onClick={() => state.select(undefined)}>
              {text.explore.clearSelection}
            </button>
          </div>
        )}
      </header>
      {kind === 'scatter' && scatter && (
        <scatter.default rows={found.traces} range={covered(found, asked)} area={area} onSelect={state.select} />
      )}
      {kind === 'heatmap' && heatmap && (
        <heatmap.default
          q={state.query.value}
          beat={beat.value}
          range={asked}
          area={area}
          onSelect={state.select}
        />
      )}
    </section>
  );
}

/** When there are more traces than are shown, the plot has the stretch they are from. */
function covered(found: Found, asked: TimeRange): TimeRange {
  const oldest = found.traces.at(-1)?.start ?? asked.start;
  if (!found.cut || oldest - asked.start < (asked.end - asked.start) / 10) return asked;
  const margin = Math.max((asked.end - oldest) * 0.03, 50);
  return { start: Math.max(oldest - margin, asked.start), end: asked.end };
}

function List({ found, rows, area }: { found: Found; rows: TraceRow[]; area: Area | undefined }) {
  const [picked, setPicked] = useState<string[]>([]);
  const pick = (id: string) =>
    setPicked(picked.includes(id) ? picked.filter((other) => other !== id) : [...picked.slice(-1), id]);
  useKeys({ Escape: () => area && state.select(undefined) });
  const failing = rows.filter((row) => row.errors > 0).length;
  return (
    <section class="panel" aria-label={text.explore.results} aria-busy={!found.done}>
      <div class="progress-line">
        {!found.done && <Progress share={found.share} label={text.explore.searching(Math.round(found.share * 100))} />}
      </div>
      <header>
        <h2 role="status">
          {text.explore.found(count(rows.length), found.cut && !area)}
          {area && <span class="muted"> · {text.explore.selected(count(rows.length))}</span>}
        </h2>
        {failing > 0 && <span class="tag error">{text.explore.withErrors(count(failing))}</span>}
        <span class="grow" />
        {picked.length < 2 ? (
          <span class="small muted hint">{rows.length > 1 ? text.explore.compareHint : ''}</span>
        ) : (
          <Link class="button primary" to={address(['compare', picked.join('...')])}>
            {text.explore.compare}
          </Link>
        )}
      </header>
      {found.partial.map((reason) => (
        <Partial key={reason} reason={reason} />
      ))}
      {rows.length > 0 ? (
        <Results rows={rows} picked={picked} onPick={pick} />
      ) : found.done ? (
        <Nothing area={area} />
      ) : (
        <Skeleton rows={6} />
      )}
      {found.cut && !area && <p class="small muted footnote">{text.explore.newest(count(found.traces.length))}</p>}
    </section>
  );
}

function Nothing({ area }: { area: Area | undefined }) {
  if (area) return <Empty title={text.explore.noneSelected} />;
  return (
    <Empty title={text.explore.none} hint={text.explore.noneHint}>
      <button type="button" class="button" onClick={() => setTime({ from: 'now-24h', to: 'now' })}>
        {text.explore.widen}
      </button>
      <Link class="button" to={address(['status'])}>
        {text.explore.diagnose}
      </Link>
    </Empty>
  );
}
