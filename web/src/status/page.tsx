import '../styles/status.css';

import { useEffect, useState } from 'preact/hooks';

import * as api from '../api';
import { bytes, compact, count, duration, percent, rate } from '../format';
import { useLoad } from '../load';
import { endpoint } from '../router';
import { beat, range, tenant } from '../state';
import { text } from '../text';
import { Failure, Skeleton } from '../ui/basics';
import { type Finding, diagnose } from './diagnose';
import { type Counted, type Rates, counted, rates } from './rates';

const EVERY = 5000;

/** The status, read again and again, and what changed between the last two readings. */
function useStatus() {
  const [tick, setTick] = useState(0);
  const [readings, setReadings] = useState<{ before?: Counted | undefined; now?: Counted }>({});
  const loaded = useLoad(`${tick} ${beat.value} ${tenant.value}`, async (signal) => {
    const [status, page] = await Promise.all([api.status(signal), api.metricsPage(signal)]);
    const now = counted(status, page, Date.now());
    setReadings((known) => ({ before: known.now, now }));
    return status;
  });
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setTick((before) => before + 1);
    }, EVERY);
    return () => clearInterval(timer);
  }, []);
  const { before, now } = readings;
  return { ...loaded, rates: before && now ? rates(before, now) : undefined };
}

export default function Status() {
  const { value: status, error, rates: current } = useStatus();
  useEffect(() => {
    document.title = `${text.status.title} · ${text.brand}`;
  }, []);
  if (error && !status) return <Failure error={error} />;
  if (!status) return <Skeleton rows={8} height={40} />;
  return (
    <>
      <Health status={status} />
      <div class="status-grid">
        <Memory status={status} />
        <Now status={status} current={current} />
      </div>
      <Diagnosis status={status} />
      <Storage status={status} />
      <Addresses status={status} />
      <Limits status={status} />
      <p class="small muted row wrap">
        {text.status.links}:
        {['ready', 'metrics', 'status/config', 'status/endpoints', 'status/services'].map((path) => (
          <a key={path} href={endpoint(path).href}>
            {path}
          </a>
        ))}
        · <a href={endpoint('assets/licenses.txt').href}>{text.status.licenses}</a>
      </p>
    </>
  );
}

function Health({ status }: { status: api.ServerStatus }) {
  const { phase, ingest } = status;
  const words = text.status;
  const isTroubled = ingest.walFailedGroups > 0 || ingest.blockCutFailures > 0;
  const said = phase === 'starting' ? words.starting : phase === 'stopping' ? words.stopping : isTroubled ? words.troubled : words.healthy;
  const isGood = phase === 'ready' && !isTroubled;
  return (
    <div class="row wrap">
      <h1>{words.title}</h1>
      <span class={isGood ? 'tag good' : 'tag error'} role="status">
        ● {said}
      </span>
      <span class="grow" />
      <span class="muted">
        {words.version} {status.version}
      </span>
    </div>
  );
}

const SHADES = ['#3f7fd0', '#56b4e9', '#e69f00', '#009e73', '#8f6bc9', '#cc79a7'];

function Memory({ status: { memory } }: { status: api.ServerStatus }) {
  const { budgetBytes, reservedBytes, limitBytes, holders } = memory;
  const words = text.status;
  return (
    <section class="panel" aria-label={words.memory}>
      <header>
        <h2 class="grow">{words.memory}</h2>
        <span class="small muted">{words.process(bytes(limitBytes))}</span>
      </header>
      <div class="body stack">
        <div class="row">
          <strong class="big">{percent(reservedBytes / budgetBytes)}</strong>
          <span class="muted">{words.memoryOf(bytes(reservedBytes), bytes(budgetBytes))}</span>
        </div>
        <div class="stacked" aria-hidden="true">
          {holders.map(({ name, bytes: held }, at) => (
            <span key={name} style={{ width: `${(held / budgetBytes) * 100}%`, background: SHADES[at % SHADES.length] ?? '' }} />
          ))}
        </div>
        <ul class="holders">
          {holders.map(({ name, bytes: held }, at) => (
            <li key={name} class="row">
              <span class="dot" style={{ background: SHADES[at % SHADES.length] ?? '' }} />
              <span class="grow">{words.holders[name] ?? name}</span>
              <span>{bytes(held)}</span>
            </li>
          ))}
          <li class="row">
            <span class="dot" style={{ background: 'var(--sunken)' }} />
            <span class="grow muted">{words.free}</span>
            <span class="muted">{bytes(Math.max(budgetBytes - reservedBytes, 0))}</span>
          </li>
        </ul>
      </div>
    </section>
  );
}

function Now({ status: { ingest }, current }: { status: api.ServerStatus; current: Rates | undefined }) {
  const words = text.status;
  const or = (write: (rates: Rates) => string) => (current ? write(current) : words.measuring);
  const rows: [string, string, string][] = [
    [words.spansIn, or((now) => rate(now.spans)), count(ingest.spansReceived)],
    [words.bytesIn, or((now) => `${bytes(now.bytes)}/s`), bytes(ingest.bytesReceived)],
    [words.queries, or((now) => rate(now.queries)), ''],
    [words.queryTime, or((now) => duration(now.meanQuery)), ''],
    [words.queryErrors, or((now) => rate(now.failed)), ''],
    [words.head, compact(ingest.headSpans), bytes(ingest.headBytes)],
    [words.log, words.files(count(ingest.walSegments)), bytes(ingest.walBytes)],
    [words.blocks, count(ingest.blocksCut), ''],
    [words.refused, count(ingest.refusedSpans), ''],
  ];
  return (
    <section class="panel" aria-label={words.rates}>
      <header>
        <h2>{words.rates}</h2>
      </header>
      <table>
        <tbody>
          {rows.map(([name, value, more]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="num">{value}</td>
              <td class="num muted">{more}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const SIGNS: Record<Finding['level'], string> = { good: '✓', warn: '!', error: '✗', hint: '→' };

function Diagnosis({ status }: { status: api.ServerStatus }) {
  const [asked, setAsked] = useState(0);
  const { value, error, loading } = useLoad(asked > 0 ? `${asked}` : undefined, (signal) => check(status, signal));
  return (
    <section class="panel" aria-label={text.status.diagnose}>
      <header>
        <h2 class="grow">{text.status.diagnose}</h2>
        <button type="button" class="button primary" disabled={loading} onClick={() => setAsked(asked + 1)}>
          {loading ? text.status.checking : text.status.run}
        </button>
      </header>
      {error && <Failure error={error} title={text.diagnose.failed} />}
      {value && (
        <ul class="body findings" role="status">
          {value.map((finding) => (
            <li key={finding.text} class={finding.level}>
              <span class="sign" aria-hidden="true">
                {SIGNS[finding.level]}
              </span>
              <span>{finding.text}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const ENOUGH = 20;

async function check(status: api.ServerStatus, signal: AbortSignal): Promise<Finding[]> {
  const mayAsk = !status.multitenancy || tenant.value !== '';
  const within = mayAsk ? await api.search({ q: '{}', range: range.value, limit: ENOUGH }, signal) : undefined;
  const inRange = within?.body.traces.length ?? 0;
  const newest = mayAsk && inRange === 0 ? await api.searchAnyTime('{}', signal) : undefined;
  const fresh = await api.status(signal);
  return diagnose({
    phase: fresh.phase,
    multitenancy: fresh.multitenancy,
    tenant: tenant.value,
    tenantsWithSpans: fresh.tenants.filter((one) => one.spans > 0).map((one) => one.tenant),
    received: fresh.ingest.spansReceived,
    refused: fresh.ingest.refusedSpans,
    stored: fresh.tenants.reduce((sum, one) => sum + one.spans, 0),
    failedWrites: fresh.ingest.walFailedGroups,
    inRange,
    newest: newest && Number(newest.startTimeUnixNano) / 1e6,
    range: range.value,
    serverNow: fresh.nowUnixMs,
    browserNow: Date.now(),
    addresses: fresh.addresses,
    host: window.location.hostname,
  });
}

const AGES: Record<number, string> = { 3600: '1 h', 21600: '6 h', 86400: '24 h', 259200: '3 d', 604800: '7 d' };

function Storage({ status: { tenants, tenantsLeftOut } }: { status: api.ServerStatus }) {
  const words = text.status;
  const ages = tenants[0]?.ages ?? [];
  return (
    <section class="panel" aria-label={words.storage}>
      <header>
        <h2>{words.storage}</h2>
      </header>
      {tenants.every((one) => one.blocks === 0) ? (
        <p class="body muted">{words.noStorage}</p>
      ) : (
        <div class="scroll-x">
          <table>
            <thead>
              <tr>
                <th scope="col">{words.tenant}</th>
                {ages.map(({ underSeconds }) => (
                  <th key={underSeconds} scope="col" class="num">
                    {underSeconds === null ? words.older : words.under(AGES[underSeconds] ?? `${underSeconds} s`)}
                  </th>
                ))}
                {[words.spans, words.blocksKept, words.total].map((name) => (
                  <th key={name} scope="col" class="num">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {tenants.map((one) => (
                <tr key={one.tenant}>
                  <th scope="row">{one.tenant}</th>
                  {one.ages.map((age) => (
                    <td key={age.underSeconds} class="num" title={`${count(age.spans)} ${words.spans}`}>
                      {age.bytes > 0 ? bytes(age.bytes) : <span class="muted">–</span>}
                    </td>
                  ))}
                  <td class="num">{compact(one.spans)}</td>
                  <td class="num">{count(one.blocks)}</td>
                  <td class="num">
                    <strong>{bytes(one.bytes)}</strong>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {tenantsLeftOut > 0 && <p class="body small muted">{words.leftOut(tenantsLeftOut)}</p>}
    </section>
  );
}

function Addresses({ status: { addresses } }: { status: api.ServerStatus }) {
  const rows = [
    ['OTLP gRPC', addresses.otlpGrpc],
    ['OTLP HTTP', `${addresses.otlpHttp} /v1/traces`],
    ['Query HTTP', addresses.http],
    ['Query gRPC', addresses.grpc],
  ] as const;
  return (
    <section class="panel" aria-label={text.status.endpoints}>
      <header>
        <h2>{text.status.endpoints}</h2>
      </header>
      <dl class="body addresses">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt class="small muted">{name}</dt>
            <dd class="mono">{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Limits({ status: { limits } }: { status: api.ServerStatus }) {
  const words = text.status;
  return (
    <section class="panel" aria-label={words.limits}>
      <header>
        <h2>{words.limits}</h2>
      </header>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th scope="col">{words.limit}</th>
              <th scope="col" class="num">
                {words.value}
              </th>
              <th scope="col" class="hint">
                {words.meaning}
              </th>
            </tr>
          </thead>
          <tbody>
            {limits.map(({ name, value, doc }) => (
              <tr key={name}>
                <td class="mono">{name}</td>
                <td class="num mono">{value}</td>
                <td class="muted hint">{doc.replace(/`/g, '')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
