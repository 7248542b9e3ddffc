import '../styles/trace.css';

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import * as api from '../api';
import { count, dateTime, duration } from '../format';
import { useLoad } from '../load';
import { spansOf } from '../query';
import { address, location, navigate, update } from '../router';
import { tenant } from '../state';
import { text } from '../text';
import { Dot, Empty, Failure, Partial, Progress, Segments, Skeleton } from '../ui/basics';
import { useKeys } from '../ui/keys';
import { criticalPath } from './critical';
import { Details } from './details';
import { useMatches } from './find';
import { FlameGraph } from './flame';
import { Json } from './json';
import { type Span, type TraceModel, buildTrace, origins, unixMillis } from './model';
import { Sums } from './tables';
import { Waterfall, type Window } from './waterfall';

const VIEWS = ['waterfall', 'flame', 'table', 'json'] as const;
type View = (typeof VIEWS)[number];

export default function TracePage() {
  const id = location.value.path[1] ?? '';
  const { value, error, loading } = useLoad(`${id} ${tenant.value}`, async (signal) => {
    const answer = await api.trace(id, signal);
    return { id, model: buildTrace(answer.body.trace?.resourceSpans ?? []), answer };
  });
  useEffect(() => {
    document.title = `${text.trace.title} ${id.slice(0, 8)} · ${text.brand}`;
  }, [id]);
  if (error) return <Failure error={error} />;
  if (value?.id !== id) return loading ? <Skeleton rows={12} height={22} /> : null;
  if (value.model.spans.length === 0) {
    return <Empty title={text.trace.missing} hint={text.trace.missingHint} />;
  }
  return (
    <>
      {loading && <Progress label={text.states.loading} />}
      <Partial reason={value.answer.partial} />
      <Trace key={id} id={id} model={value.model} answer={value.answer.body} />
    </>
  );
}

interface TraceProps {
  id: string;
  model: TraceModel;
  answer: api.TraceAnswer;
}

const byId = (model: TraceModel, id: string | null) => model.byId.get((id ?? '').toLowerCase())?.index ?? -1;

function Trace({ id, model, answer }: TraceProps) {
  const { params } = location.value;
  const wanted = params.get('view');
  const view: View = VIEWS.find((name) => name === wanted) ?? 'waterfall';
  const find = params.get('find') ?? '';
  const selected = byId(model, params.get('span'));
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [zoom, setZoom] = useState<Window>();
  const [showPath, setShowPath] = useState(true);
  const path = useMemo(() => criticalPath(model.spans), [model]);
  const matches = useMatches(model, find);
  const matching = useMemo(() => new Set(matches), [matches]);
  const searchField = useRef<HTMLInputElement>(null);
  const select = (index: number) => {
    setCollapsed((before) => unfolded(model, before, index));
    update({ span: model.spans[index]?.id ?? '' }, { replace: true });
  };
  const step = (list: number[], by: 1 | -1) => {
    const next = by > 0 ? list.find((at) => at > selected) : [...list].reverse().find((at) => at < selected);
    const around = next ?? (by > 0 ? list[0] : list.at(-1));
    if (around !== undefined) select(around);
  };
  const failed = useMemo(() => model.spans.filter((span) => span.error).map((span) => span.index), [model]);
  const toggle = (index: number) =>
    setCollapsed((before) => {
      const next = new Set(before);
      if (!next.delete(index)) next.add(index);
      return next;
    });
  useKeys({
    n: () => step(matches, 1),
    N: () => step(matches, -1),
    e: () => step(failed, 1),
    Escape: () => update({ span: '' }, { replace: true }),
    '/': (event) => {
      event.preventDefault();
      searchField.current?.focus();
    },
  });
  const span = model.spans[selected];
  const critical = (path.get(selected) ?? []).reduce((sum, { start, end }) => sum + end - start, 0);
  return (
    <>
      <Header id={id} model={model} />
      <Origins model={model} onSelect={select} />
      <div class={span ? 'trace-body with-details' : 'trace-body'}>
        <section class="panel" aria-label={text.trace.title}>
          <header>
            <Segments
              label={text.trace.views}
              value={view}
              options={VIEWS.map((name) => [name, text.trace[name]] as const)}
              onChoose={(name) => update({ view: name === 'waterfall' ? '' : name }, { replace: true })}
            />
            <span class="grow" />
            {view === 'waterfall' && (
              <>
                <label class="row small">
                  <input type="checkbox" checked={showPath} onChange={() => setShowPath(!showPath)} />
                  {text.trace.criticalPath}
                </label>
                <button
                  type="button"
                  class="button"
                  onClick={() => setCollapsed(collapsed.size > 0 ? new Set() : foldable(model))}
                >
                  {collapsed.size > 0 ? text.trace.expandAll : text.trace.collapseAll}
                </button>
              </>
            )}
            <Find
              field={searchField}
              find={find}
              at={matches.indexOf(selected) + 1}
              found={matches.length}
              onStep={(by) => step(matches, by)}
            />
          </header>
          {view === 'waterfall' && (
            <Waterfall
              model={model}
              path={showPath ? path : undefined}
              collapsed={collapsed}
              matches={matching}
              selected={selected}
              zoom={zoom ?? { start: 0, end: model.duration }}
              onZoom={setZoom}
              onSelect={select}
              onToggle={toggle}
            />
          )}
          {view === 'flame' && <FlameGraph model={model} onSelect={select} />}
          {view === 'table' && (
            <Sums model={model} onFind={(needle) => update({ find: needle, view: '' }, { replace: true })} />
          )}
          {view === 'json' && <Json id={id} answer={answer} />}
        </section>
        {span && (
          <Details
            model={model}
            span={span}
            critical={critical}
            onSelect={select}
            onClose={() => update({ span: '' }, { replace: true })}
          />
        )}
      </div>
    </>
  );
}

/** What is folded without whatever hides a span. */
function unfolded(model: TraceModel, collapsed: ReadonlySet<number>, index: number): ReadonlySet<number> {
  if (collapsed.size === 0) return collapsed;
  const next = new Set(collapsed);
  for (let at = model.spans[index]?.parent ?? -1; at >= 0; at = model.spans[at]?.parent ?? -1) next.delete(at);
  return next.size === collapsed.size ? collapsed : next;
}

/** Everything below the roots that has something below it. */
function foldable(model: TraceModel): ReadonlySet<number> {
  return new Set(model.spans.filter((span) => span.size > 1 && span.depth > 0).map((span) => span.index));
}

function Header({ id, model }: { id: string; model: TraceModel }) {
  const root = model.spans.find((span) => !span.orphan && span.parent < 0) ?? model.spans[0];
  const [copied, setCopied] = useState(false);
  const words = text.trace;
  const figures: [string, preact.ComponentChildren][] = [
    [words.duration, duration(model.duration)],
    [words.spans, count(model.spans.length)],
    [words.services, count(model.services.length)],
    [words.depth, count(model.depth)],
    [words.errors, model.errors > 0 ? <span class="bad">{count(model.errors)}</span> : '0'],
  ];
  const copy = () => {
    void navigator.clipboard.writeText(window.location.href).then(() => setCopied(true));
  };
  return (
    <section class="trace-header">
      <div class="row wrap">
        <h1 class="grow">
          {root?.service || words.noService} <span class="muted">{root?.name || words.noRoot}</span>
        </h1>
        <Compare id={id} root={root} />
        <button type="button" class="button" onClick={copy}>
          {copied ? words.copied : words.copy}
        </button>
        <a class="button" href={api.traceAddress(id)} download={`${id}.json`}>
          {words.download}
        </a>
      </div>
      <div class="small muted">
        <span class="mono">{id}</span> · {words.started.toLowerCase()} {dateTime(unixMillis(model))}
      </div>
      <div class="row wrap">
        <dl class="figures">
          {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        </dl>
        <div class="grow services">
          {model.services.slice(0, 12).map((service) => (
            <span key={service.name} class="tag">
              <Dot service={service.name} /> {service.name || words.noService} <span class="muted">{count(service.spans)}</span>
            </span>
          ))}
        </div>
      </div>
    </section>
  );
}

/** To another trace by its id, or to a good one of the same kind. */
function Compare({ id, root }: { id: string; root: Span | undefined }) {
  const [open, setOpen] = useState(false);
  const [other, setOther] = useState('');
  const [missing, setMissing] = useState(false);
  const compare = (with_: string) => navigate(address(['compare', `${with_}...${id}`]));
  const findGood = async () => {
    const q = `${spansOf({ conditions: root ? [`trace:rootName = ${JSON.stringify(root.name)}`] : [] })} | { status != error }`;
    const end = Date.now();
    const found = await api.search({ q, range: { start: end - 3600e3, end }, limit: 50 });
    const good = found.body.traces.find(
      (trace) => trace.traceID.padStart(32, '0') !== id && Object.values(trace.serviceStats ?? {}).every((stat) => !stat.errorCount),
    );
    if (good) compare(good.traceID);
    else setMissing(true);
  };
  useKeys({ Escape: () => setOpen(false) });
  return (
    <div class="time">
      <button type="button" class="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {text.trace.compare}
      </button>
      {open && (
        <div class="popover stack" role="dialog" aria-label={text.trace.compare}>
          <button
            type="button"
            class="button primary"
            onClick={() => {
              findGood().catch(() => setMissing(true));
            }}
          >
            {text.trace.similar}
          </button>
          {missing && <p class="small bad">{text.trace.noSimilar}</p>}
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (/^[0-9a-f]{1,32}$/i.test(other.trim())) compare(other.trim());
            }}
          >
            <label>
              {text.trace.compareId}
              <input class="field mono" value={other} onInput={(event) => setOther(event.currentTarget.value)} />
            </label>
          </form>
        </div>
      )}
    </div>
  );
}

const ORIGINS_SHOWN = 4;

/** Where errors began, before anything else. */
function Origins({ model, onSelect }: { model: TraceModel; onSelect: (index: number) => void }) {
  const [all, setAll] = useState(false);
  const found = useMemo(() => origins(model.spans), [model]);
  if (found.length === 0) return null;
  const shown = all ? found.slice(0, 100) : found.slice(0, ORIGINS_SHOWN);
  return (
    <section class="note error origins" aria-label={text.trace.errors}>
      <ul class="grow">
        {shown.map((span) => (
          <li key={span.index}>
            <button type="button" class="link" onClick={() => onSelect(span.index)}>
              <Dot service={span.service} /> <strong>{span.service || text.trace.noService}</strong> {span.name}
            </button>{' '}
            <span class="muted">
              {duration(span.duration)} {span.status.message}
            </span>
          </li>
        ))}
      </ul>
      {found.length > shown.length && (
        <button type="button" class="button tiny" onClick={() => setAll(true)}>
          {text.trace.showAll(found.length)}
        </button>
      )}
    </section>
  );
}

interface FindProps {
  field: preact.RefObject<HTMLInputElement>;
  find: string;
  at: number;
  found: number;
  onStep: (by: 1 | -1) => void;
}

function Find({ field, find, at, found, onStep }: FindProps) {
  return (
    <div class="row find" role="search">
      <input
        ref={field}
        class="field"
        aria-label={text.trace.search}
        placeholder={text.trace.searchHint}
        value={find}
        onInput={(event) => update({ find: event.currentTarget.value }, { replace: true })}
        onKeyDown={(event) => {
          if (event.key === 'Enter') onStep(event.shiftKey ? -1 : 1);
          if (event.key === 'Escape') event.currentTarget.blur();
        }}
      />
      {find !== '' && (
        <>
          <span class="small muted" role="status">
            {text.trace.matches(at, found)}
          </span>
          <button type="button" class="button tiny" aria-label={text.trace.previous} onClick={() => onStep(-1)}>
            ↑
          </button>
          <button type="button" class="button tiny" aria-label={text.trace.next} onClick={() => onStep(1)}>
            ↓
          </button>
        </>
      )}
    </div>
  );
}

