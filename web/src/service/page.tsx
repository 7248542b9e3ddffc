import '../styles/service.css';

import { useEffect, useMemo } from 'preact/hooks';
import type UPlot from 'uplot';

import * as api from '../api';
import { type TraceRow, toRow } from '../explore/rows';
import { decades } from '../explore/scales';
import { compact, dateTime, digits, duration, percent, rate, tick } from '../format';
import { useLoad } from '../load';
import { FLAGS } from '../mesh/istio';
import { spansOf } from '../query';
import { address, location, navigate } from '../router';
import { beat, range, tenant } from '../state';
import { text } from '../text';
import { Dot, Empty, Failure, Link, Partial, Progress, Skeleton } from '../ui/basics';
import { Plot, type PlotOptions, axis } from '../ui/plot';
import { themeColor } from '../ui/theme';
import { type Operation, type Point, aligned, exemplarsOf, operations, stepFor } from './series';

/** Requests are what others ask a service; a service that only asks is told by all its spans. */
const REQUESTS = '(kind = server || kind = consumer)';

export default function Service() {
  const service = location.value.path[1] ?? '';
  const asked = range.value;
  const key = `${service} ${asked.start} ${asked.end} ${beat.value} ${tenant.value}`;
  const { value, error, loading } = useLoad(key, (signal) => loadAll(service, signal));
  useEffect(() => {
    document.title = `${service} · ${text.brand}`;
  }, [service]);
  if (error) return <Failure error={error} />;
  if (value?.service !== service) return <Skeleton rows={8} height={40} />;
  return (
    <>
      {loading && <Progress label={text.states.loading} />}
      <Partial reason={value.partial} />
      <Body data={value} loadKey={key} />
    </>
  );
}

interface Data {
  service: string;
  scope: string;
  isInternal: boolean;
  step: number;
  rates: api.Series[];
  latencies: api.Series[];
  operations: Operation[];
  partial: string | undefined;
}

async function loadAll(service: string, signal: AbortSignal): Promise<Data> {
  const asked = range.value;
  const step = stepFor(asked);
  const measure = async (scope: string) => {
    const ask = (stages: string, exemplars = 0) => api.metricsRange({ q: `${scope} | ${stages}`, range: asked, step, exemplars }, signal);
    return Promise.all([ask('rate() by (status)'), ask('quantile_over_time(duration, .5, .95, .99)', 60)]);
  };
  let isInternal = false;
  let scope = spansOf({ service, conditions: [REQUESTS] });
  let [rates, latencies] = await measure(scope);
  if (rates.body.length === 0) {
    isInternal = true;
    scope = spansOf({ service });
    [rates, latencies] = await measure(scope);
  }
  const instant = (stages: string) => api.metricsInstant(`${scope} | ${stages}`, asked, signal);
  const [counts, tails] = await Promise.all([
    instant('rate() by (name, status)'),
    instant('quantile_over_time(duration, .5, .95) by (name)'),
  ]);
  const partial = rates.partial ?? latencies.partial ?? counts.partial ?? tails.partial;
  return {
    service,
    scope,
    isInternal,
    step,
    rates: rates.body,
    latencies: latencies.body,
    operations: operations(counts.body, tails.body),
    partial,
  };
}

function Body({ data, loadKey }: { data: Data; loadKey: string }) {
  const { service, scope, operations: rows } = data;
  const total = rows.reduce((sum, row) => sum + row.rate, 0);
  const failed = rows.reduce((sum, row) => sum + row.failing, 0);
  return (
    <>
      <div class="row wrap">
        <h1 class="row grow">
          <Dot service={service} /> {service}
        </h1>
        <Link class="button" to={address(['mesh'], { on: service })}>
          {text.mesh.title}
        </Link>
        <Link class="button primary" to={address(['explore'], { q: spansOf({ service }) })}>
          {text.service.allTraces}
        </Link>
      </div>
      {rows.length === 0 ? (
        <Empty title={text.service.noTraffic} hint={text.service.noTrafficHint} />
      ) : (
        <>
          <dl class="figures">
            {(
              [
                [text.service.rate, rate(total)],
                [text.service.errors, failed > 0 ? <span class="bad">{percent(failed / total)}</span> : '0 %'],
                [text.service.operations, compact(rows.length)],
              ] as const
            ).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {data.isInternal && <p class="small muted">{text.service.internal}</p>}
          <Charts data={data} />
          <Operations service={service} rows={rows} total={total} />
        </>
      )}
      <div class="halves">
        <Traces
          title={text.service.failing}
          q={spansOf({ service, conditions: ['status = error'] })}
          loadKey={loadKey}
          order={(a, b) => b.start - a.start}
        />
        <Slowest scope={scope} latencies={data.latencies} loadKey={loadKey} />
      </div>
      <Identity service={service} loadKey={loadKey} />
    </>
  );
}

const HEIGHT = 190;

function Charts({ data }: { data: Data }) {
  const asked = range.value;
  const rates = useMemo(() => aligned(data.rates, 'status', asked.end), [data.rates, asked.end]);
  const latencies = useMemo(() => aligned(data.latencies, 'p', asked.end), [data.latencies, asked.end]);
  const points = useMemo(() => exemplarsOf(data.latencies), [data.latencies]);
  const all = rates.times.map((_, at) => rates.series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const failing = rates.times.map((_, at) => rates.series.find(({ label }) => label === 'error')?.values[at] ?? 0);
  const x = useMemo<[number, number]>(() => [asked.start / 1e3, asked.end / 1e3], [asked.start, asked.end]);
  const perSecond = (value: number) => digits(value);
  return (
    <div class="charts">
      <Chart
        title={text.service.rate}
        unit={text.service.perSecond}
        x={x}
        times={rates.times}
        lines={[{ label: text.service.all, color: 'accent', values: all, fill: true }]}
        write={perSecond}
      />
      <Chart
        title={text.service.errors}
        unit={text.service.perSecond}
        x={x}
        times={rates.times}
        lines={[{ label: text.service.failed, color: 'error', values: failing, fill: true }]}
        write={perSecond}
      />
      <Chart
        title={text.service.latency}
        unit={text.service.exemplar}
        x={x}
        times={latencies.times}
        lines={latencies.series.map(({ label, values }, at) => ({
          label: `p${Number(label) * 100}`,
          color: ['ok', 'accent', 'warn'][at] ?? 'muted',
          values: values.map((value) => (value === null ? null : value * 1e9)),
          fill: false,
        }))}
        write={duration}
        points={points}
        logarithmic
      />
    </div>
  );
}

interface ChartProps {
  title: string;
  unit: string;
  x: [number, number];
  times: number[];
  lines: { label: string; color: string; values: (number | null)[]; fill: boolean }[];
  write: (value: number) => string;
  points?: Point[];
  logarithmic?: boolean;
}

const NO_POINTS: Point[] = [];

function Chart({ title, unit, x, times, lines, write, points = NO_POINTS, logarithmic = false }: ChartProps) {
  const shape = lines.map(({ label, color, fill }) => `${label} ${color} ${fill}`).join();
  const options = useMemo<PlotOptions>(
    () => ({
      scales: { x: { time: true, range: () => x }, y: logarithmic ? { distr: 3, log: 10, range: (_, low, high) => logRange(low, high, points) } : { range: (_, __, high) => [0, top(high)] } },
      axes: [
        axis({ size: 24, space: 80, values: (_, splits, __, ___, step) => splits.map((at) => tick(at * 1e3, step)) }),
        axis({
          size: 58,
          space: 36,
          values: (_, splits) => splits.map(write),
          ...(logarithmic ? { splits: (_, __, low, high) => decades(low, high), filter: (_, splits) => splits } : {}),
        }),
      ],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false },
      series: [
        {},
        ...lines.map(({ label, color, fill }) => ({
          label,
          stroke: themeColor(color),
          width: 1.6,
          points: { show: false },
          ...(fill ? { fill: `color-mix(in srgb, ${themeColor(color)} 14%, transparent)` } : {}),
        })),
      ],
      hooks: { draw: [(plot) => drawPoints(plot, points)], ready: [(plot) => clickable(plot, points)] },
    }),
    // Lines are drawn anew when their shape changes; their values are data.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [x, shape, write, points, logarithmic],
  );
  const data = useMemo<UPlot.AlignedData>(
    () => [times, ...lines.map(({ values }) => values)],
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [times, shape],
  );
  const last = (values: (number | null)[]) => values.filter((value) => value !== null).at(-1);
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="small muted grow hint">{unit}</span>
        {lines.map(({ label, color, values }) => (
          <span key={label} class="row small">
            <span class="dot" style={{ background: `var(--${color})` }} /> {label}{' '}
            <strong>{write(last(values) ?? 0)}</strong>
          </span>
        ))}
      </header>
      <div class="plot-box">
        <Plot label={title} height={HEIGHT} options={options} data={data} />
      </div>
    </section>
  );
}

function top(high: number): number {
  return high > 0 ? high * 1.12 : 1;
}

function logRange(low: number, high: number, points: Point[]): [number, number] {
  const values = points.map(({ value }) => value).filter((value) => value > 0);
  const [least, most] = [Math.min(low || Infinity, ...values), Math.max(high || 0, ...values)];
  return most > 0 && least > 0 ? [least / 1.5, most * 1.6] : [1e6, 1e9];
}

function drawPoints(plot: UPlot, points: Point[]): void {
  const { ctx } = plot;
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  for (const { time, value } of points) {
    ctx.beginPath();
    ctx.arc(plot.valToPos(time, 'x', true), plot.valToPos(value, 'y', true), 3.2 * ratio, 0, 2 * Math.PI);
    ctx.fillStyle = themeColor('surface');
    ctx.fill();
    ctx.lineWidth = 1.4 * ratio;
    ctx.strokeStyle = themeColor('text');
    ctx.stroke();
  }
  ctx.restore();
}

const REACH = 12;

function clickable(plot: UPlot, points: Point[]): void {
  const near = (event: MouseEvent) => {
    const box = plot.over.getBoundingClientRect();
    const away = ({ time, value }: Point) =>
      Math.hypot(plot.valToPos(time, 'x') - (event.clientX - box.left), plot.valToPos(value, 'y') - (event.clientY - box.top));
    const best = [...points].sort((a, b) => away(a) - away(b))[0];
    return best && away(best) <= REACH ? best : undefined;
  };
  plot.over.addEventListener('mousemove', (event) => {
    const point = near(event);
    plot.over.style.cursor = point ? 'pointer' : '';
    plot.over.title = point ? `${duration(point.value)} · ${dateTime(point.time * 1e3)}` : '';
  });
  plot.over.addEventListener('click', (event) => {
    const point = near(event);
    if (point) navigate(address(['trace', point.trace], { span: point.span }));
  });
}

const OPERATIONS_SHOWN = 30;

function Operations({ service, rows, total }: { service: string; rows: Operation[]; total: number }) {
  return (
    <section class="panel" aria-label={text.service.operations}>
      <header>
        <h2>{text.service.operations}</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th scope="col">{text.service.operation}</th>
              {[text.mesh.rate, text.service.spansOf, text.mesh.errors, 'p50', 'p95'].map((name) => (
                <th key={name} scope="col" class="num">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, OPERATIONS_SHOWN).map((row) => (
              <tr key={row.name}>
                <td>
                  <Link to={address(['explore'], { q: spansOf({ service, operation: row.name }) })}>
                    {row.name || text.trace.noName}
                  </Link>
                </td>
                <td class="num">{rate(row.rate)}</td>
                <td class="num">{percent(row.rate / total)}</td>
                <td class="num">
                  {row.failing > 0 && <span class="tag error">{percent(row.failing / row.rate)}</span>}
                </td>
                <td class="num">{duration(row.p50)}</td>
                <td class="num">{duration(row.p95)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** The slowest: those above the 99th percentile, since a search gives the newest of what it finds. */
function Slowest({ scope, latencies, loadKey }: { scope: string; latencies: api.Series[]; loadKey: string }) {
  const p99 = aligned(latencies, 'p').series.find(({ label }) => Number(label) === 0.99);
  const values = (p99?.values ?? []).filter((value) => value !== null).sort((a, b) => a - b);
  const typical = values[Math.floor(values.length / 2)] ?? 0;
  const condition = ` && duration >= ${Math.max(1, Math.floor(typical * 1e6))}us }`;
  return (
    <Traces
      title={text.service.slowest}
      q={scope === '{}' ? scope : scope.replace(/ \}$/, condition)}
      loadKey={loadKey}
      order={(a, b) => b.duration - a.duration}
    />
  );
}

interface TracesProps {
  title: string;
  q: string;
  loadKey: string;
  order: (a: TraceRow, b: TraceRow) => number;
}

const TRACES_ASKED = 100;
const TRACES_SHOWN = 8;

function Traces({ title, q, loadKey, order }: TracesProps) {
  const asked = range.value;
  const { value, error } = useLoad(`${loadKey} ${q}`, (signal) => api.search({ q, range: asked, limit: TRACES_ASKED }, signal));
  const rows = (value?.body.traces ?? []).map(toRow).sort(order).slice(0, TRACES_SHOWN);
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2 class="grow">{title}</h2>
        <Link class="small" to={address(['explore'], { q })}>
          {text.service.allTraces}
        </Link>
      </header>
      {error && <Failure error={error} />}
      {!value && !error && <Skeleton rows={4} />}
      {value && rows.length === 0 && <p class="pad muted">{text.service.none}</p>}
      <ul class="short-list">
        {rows.map((row) => (
          <li key={row.id} class="row">
            <Link class="grow ellipsis" to={address(['trace', row.id])}>
              {row.service} <span class="muted">{row.name}</span>
            </Link>
            {row.errors > 0 && <span class="tag error">{row.errors}</span>}
            <span>{duration(row.duration)}</span>
            <span class="muted small">{tick(row.start, 1)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What Istio says of the service's spans, each value with how often. */
const FACETS = [
  ['Workload', 'resource.k8s.deployment.name'],
  ['Namespace', '.istio.namespace'],
  ['Cluster', '.istio.cluster_id'],
  ['Source workload', '.istio.source_workload'],
  ['Destination workload', '.istio.destination_workload'],
  ['Proxy', '.component'],
  ['Response flags', '.response_flags'],
] as const;

function Identity({ service, loadKey }: { service: string; loadKey: string }) {
  const asked = range.value;
  const { value } = useLoad(`${loadKey} identity`, (signal) => {
    const ask = async ([name, attribute]: (typeof FACETS)[number]) => {
      const q = `${spansOf({ service })} | count_over_time() by (${attribute})`;
      const answer = await api.metricsInstant(q, asked, signal);
      return { name, attribute, values: facetsOf(answer.body) };
    };
    return Promise.all(FACETS.map((facet) => ask(facet).catch(() => ({ name: facet[0], attribute: facet[1], values: [] }))));
  });
  const known = (value ?? []).filter(({ values }) => values.length > 0);
  if (known.length === 0) return null;
  return (
    <section class="panel" aria-label={text.service.identity}>
      <header>
        <h2>{text.service.identity}</h2>
      </header>
      <dl class="pairs body">
        {known.map(({ name, attribute, values }) => (
          <>
            <dt>{name}</dt>
            <dd class="row wrap">
              {values.slice(0, 12).map(({ value: one, count }) => (
                <Link
                  key={one}
                  class={name === 'Response flags' ? 'tag error' : 'tag'}
                  title={one.split(',').map((flag) => FLAGS[flag] ?? '').join(' ')}
                  to={address(['explore'], { q: spansOf({ service, conditions: [`${attribute} = ${JSON.stringify(one)}`] }) })}
                >
                  {one} <span class="muted">{compact(count)}</span>
                </Link>
              ))}
            </dd>
          </>
        ))}
      </dl>
    </section>
  );
}

function facetsOf(series: api.Series[]): { value: string; count: number }[] {
  const all = series.map(({ labels, value }) => ({
    value: labels?.[0]?.value?.stringValue ?? '',
    count: Number(value ?? 0),
  }));
  return all.filter(({ value }) => !['', 'nil', '-'].includes(value)).sort((a, b) => b.count - a.count);
}
