import '../styles/trace.css';

import { useEffect, useMemo, useState } from 'preact/hooks';

import * as api from '../api';
import { digits, duration } from '../format';
import { useLoad } from '../load';
import { address, location } from '../router';
import { text } from '../text';
import { Dot, Empty, Failure, Link, Skeleton } from '../ui/basics';
import { buildTrace } from '../trace/model';
import { type Mark, type Side, sides } from './sides';

export default function Compare() {
  const [base = '', other = ''] = (location.value.path[1] ?? '').split('...');
  const isComplete = base !== '' && other !== '';
  const { value, error } = useLoad(isComplete ? `${base} ${other}` : undefined, async (signal) => {
    const [first, second, patch] = await Promise.all([
      api.trace(base, signal),
      api.trace(other, signal),
      api.traceDiff(base, other, signal),
    ]);
    const model = (answer: typeof first) => buildTrace(answer.body.trace?.resourceSpans ?? []);
    return { base: model(first), other: model(second), patch };
  });
  useEffect(() => {
    document.title = `${text.compare.title} · ${text.brand}`;
  }, []);
  if (!isComplete) return <Empty title={text.compare.pick} hint={text.compare.pickHint} />;
  if (error) return <Failure error={error} />;
  if (!value) return <Skeleton rows={12} />;
  return <Compared ids={[base, other]} {...value} />;
}

interface ComparedProps {
  ids: [string, string];
  base: ReturnType<typeof buildTrace>;
  other: ReturnType<typeof buildTrace>;
  patch: api.TracePatch;
}

function Compared({ ids, base, other, patch }: ComparedProps) {
  const [onlyChanges, setOnlyChanges] = useState(false);
  const { left, right } = useMemo(() => sides(base, other, patch), [base, other, patch]);
  const { addedSpans, removedSpans, modifiedSpans, truncated } = patch.stats;
  const words = text.compare;
  const longest = Math.max(base.duration, other.duration, 1);
  const isSame = addedSpans + removedSpans + modifiedSpans === 0;
  return (
    <>
      <div class="row wrap">
        <h1 class="grow">{words.title}</h1>
        <span class="tag mark-added">{words.added}</span>
        <span class="tag mark-removed">{words.removed}</span>
        <span class="tag mark-modified">{words.modified}</span>
        <label class="row small">
          <input type="checkbox" checked={onlyChanges} onChange={() => setOnlyChanges(!onlyChanges)} />
          {words.onlyChanges}
        </label>
        <Link class="button" to={address(['compare', `${ids[1]}...${ids[0]}`])}>
          ⇄ {words.swap}
        </Link>
      </div>
      <p role="status">
        {isSame ? words.none : words.summary(addedSpans, removedSpans, modifiedSpans)}
        {truncated && ` ${words.truncated}`}
      </p>
      {(patch.warnings ?? []).map((warning) => (
        <p key={warning.message} class="small muted">
          {warning.message}
        </p>
      ))}
      <div class="sides">
        <SidePanel title={words.base} id={ids[0]} side={left} longest={longest} onlyChanges={onlyChanges} />
        <SidePanel title={words.other} id={ids[1]} side={right} longest={longest} onlyChanges={onlyChanges} />
      </div>
      <Changes patch={patch} />
    </>
  );
}

interface SideProps {
  title: string;
  id: string;
  side: Side;
  longest: number;
  onlyChanges: boolean;
}

const SHOWN = 1000;

const SIGN: Record<Mark, string> = { same: '', added: '+', removed: '−', modified: '~' };

function SidePanel({ title, id, side, longest, onlyChanges }: SideProps) {
  const rows = side.rows.filter((row) => !onlyChanges || row.mark !== 'same').slice(0, SHOWN);
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <Link class="mono" to={address(['trace', id])}>
          {id.slice(0, 12)}…
        </Link>
        <span class="grow" />
        <span>
          <strong>{duration(side.model.duration)}</strong>{' '}
          {side.model.errors > 0 && <span class="tag error">{side.model.errors}</span>}
        </span>
      </header>
      <ul class="side">
        {rows.map(({ span, mark }) => (
          <li key={span.index} class={`mark-${mark}`}>
            <span class="sign mono">
              <span aria-hidden="true">{SIGN[mark]}</span>
              {mark !== 'same' && <span class="visually-hidden">{text.compare[mark]}</span>}
            </span>
            <Link
              class="grow ellipsis"
              style={{ paddingLeft: `${Math.min(span.depth, 16) * 12}px` }}
              to={address(['trace', id], { span: span.id })}
            >
              <Dot service={span.service} /> {span.error && <span class="bad">●</span>} <strong>{span.service}</strong> {span.name}
            </Link>
            <span class="mini" aria-hidden="true">
              <span
                style={{
                  left: `${(span.start / longest) * 100}%`,
                  width: `max(2px, ${(span.duration / longest) * 100}%)`,
                }}
                class={span.error ? 'error' : ''}
              />
            </span>
            <span class="num">{duration(span.duration)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function shown(change: api.DiffChange, value: unknown): string {
  if (value === undefined || value === null) return '–';
  if (change.target.name === 'duration_nanos') return duration(Number(value));
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? digits(value) : JSON.stringify(value);
}

function Changes({ patch }: { patch: api.TracePatch }) {
  const rows = (patch.modified ?? []).flatMap(({ span, changes }) => changes.map((change) => ({ span, change })));
  if (rows.length === 0) return null;
  const words = text.compare;
  return (
    <section class="panel" aria-label={words.modified}>
      <header>
        <h2>{words.modified}</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th scope="col">{text.trace.span}</th>
              <th scope="col">{words.field}</th>
              <th scope="col">{words.before}</th>
              <th scope="col">{words.after}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map(({ span, change }, at) => (
              <tr key={at}>
                <td>
                  <Dot service={span.service ?? ''} /> <strong>{span.service}</strong> {span.name}
                </td>
                <td class="mono">{change.target.key ?? change.target.name?.replace('_nanos', '')}</td>
                <td class="mono value">{shown(change, change.before)}</td>
                <td class="mono value">{shown(change, change.after)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
