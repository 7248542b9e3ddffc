import '../styles/mesh.css';

import { useEffect } from 'preact/hooks';

import * as api from '../api';
import { compact, duration, percent, rate } from '../format';
import { useLoad } from '../load';
import { spansOf } from '../query';
import { address, location, update } from '../router';
import { beat, range, setTime, tenant } from '../state';
import { text } from '../text';
import { Dot, Empty, Failure, Link, Partial, Progress, Segments, Skeleton } from '../ui/basics';
import { useKeys } from '../ui/keys';
import { Graph, type Quantile, type Selection, type Shown, edgeLatency } from './graph';

const SHOWN: Shown[] = ['rate', 'errors', 'latency'];
const QUANTILES: Quantile[] = ['p50', 'p95', 'p99'];

function choice<T extends string>(name: string, of: readonly T[], otherwise: T): T {
  const wanted = location.value.params.get(name);
  return of.find((one) => one === wanted) ?? otherwise;
}

/** Unless the address says otherwise, a narrow screen has the list: there is no room for a graph. */
const isNarrow = () => window.matchMedia('(max-width: 700px)').matches;

export default function Mesh() {
  const asked = range.value;
  const { value, error, loading } = useLoad(`${asked.start} ${asked.end} ${beat.value} ${tenant.value}`, (signal) =>
    api.serviceGraph(asked, signal),
  );
  useEffect(() => {
    document.title = `${text.mesh.title} · ${text.brand}`;
  }, []);
  if (error) return <Failure error={error} />;
  if (!value) return <Skeleton rows={8} height={40} />;
  if (value.nodes.length + value.edges.length === 0) {
    return (
      <Empty title={text.mesh.none} hint={text.mesh.noneHint}>
        <button type="button" class="button" onClick={() => setTime({ from: 'now-24h', to: 'now' })}>
          {text.explore.widen}
        </button>
        <Link class="button" to={address(['explore'])}>
          {text.states.toExplore}
        </Link>
      </Empty>
    );
  }
  return (
    <>
      {loading && <Progress label={text.states.loading} />}
      <Partial reason={value.partial} />
      <Shell graph={value} seconds={(asked.end - asked.start) / 1e3} />
    </>
  );
}

function selectionOf(graph: api.ServiceGraph): Selection {
  const wanted = location.value.params.get('on') ?? '';
  const [client, server] = wanted.split('→');
  if (server !== undefined) {
    const at = graph.edges.findIndex((edge) => edge.client === client && edge.server === server);
    return at >= 0 ? { kind: 'edge', at } : undefined;
  }
  return wanted ? { kind: 'node', service: wanted } : undefined;
}

function Shell({ graph, seconds }: { graph: api.ServiceGraph; seconds: number }) {
  const view = choice('view', ['graph', 'list'] as const, isNarrow() ? 'list' : 'graph');
  const shown = choice('show', SHOWN, 'rate');
  const quantile = choice('quantile', QUANTILES, 'p95');
  const find = location.value.params.get('find') ?? '';
  const selection = selectionOf(graph);
  const select = (next: Selection) => {
    const edge = next?.kind === 'edge' ? graph.edges[next.at] : undefined;
    const on = next?.kind === 'node' ? next.service : edge ? `${edge.client}→${edge.server}` : '';
    update({ on }, { replace: true });
  };
  useKeys({ Escape: () => select(undefined) });
  return (
    <>
      <div class="row wrap">
        <h1>{text.mesh.title}</h1>
        <Segments
          label={text.trace.views}
          value={view}
          options={[
            ['graph', text.mesh.graph],
            ['list', text.mesh.list],
          ]}
          onChoose={(next) => update({ view: next }, { replace: true })}
        />
        {view === 'graph' && (
          <Segments
            label={text.mesh.show}
            value={shown}
            options={SHOWN.map((name) => [name, text.mesh[name]] as const)}
            onChoose={(next) => update({ show: next === 'rate' ? '' : next }, { replace: true })}
          />
        )}
        <Segments
          label={text.mesh.quantile}
          value={quantile}
          options={QUANTILES.map((name) => [name, name] as const)}
          onChoose={(next) => update({ quantile: next === 'p95' ? '' : next }, { replace: true })}
        />
        <span class="grow" />
        <input
          class="field"
          aria-label={text.mesh.find}
          placeholder={text.mesh.find}
          value={find}
          onInput={(event) => update({ find: event.currentTarget.value }, { replace: true })}
        />
      </div>
      {view === 'graph' ? (
        <div class="mesh">
          <section class="panel" aria-label={text.mesh.graph}>
            <Graph {...{ graph, seconds, shown, quantile, find, selection }} onSelect={select} />
          </section>
          <Side graph={graph} seconds={seconds} selection={selection} onSelect={select} />
        </div>
      ) : (
        <List graph={graph} seconds={seconds} quantile={quantile} find={find} />
      )}
    </>
  );
}

interface SideProps {
  graph: api.ServiceGraph;
  seconds: number;
  selection: Selection;
  onSelect: (selection: Selection) => void;
}

function Side({ graph, seconds, selection, onSelect }: SideProps) {
  if (!selection) {
    return (
      <aside class="panel mesh-side">
        <div class="body stack">
          <p class="muted">{text.mesh.hint}</p>
          <Worst graph={graph} onSelect={onSelect} />
        </div>
      </aside>
    );
  }
  if (selection.kind === 'edge') {
    const edge = graph.edges[selection.at];
    return edge ? <EdgeSide edge={edge} seconds={seconds} /> : null;
  }
  return <NodeSide graph={graph} seconds={seconds} service={selection.service} onSelect={onSelect} />;
}

/** Services by their share of errors, the ones to look at first. */
function Worst({ graph, onSelect }: { graph: api.ServiceGraph; onSelect: (selection: Selection) => void }) {
  const share = (node: api.GraphNode) => node.errors / Math.max(node.requests, 1);
  const failing = graph.nodes.filter((node) => node.errors > 0).sort((a, b) => share(b) - share(a));
  if (failing.length === 0) return null;
  return (
    <section>
      <h3>{text.mesh.errors}</h3>
      <ul class="stack">
        {failing.slice(0, 8).map((node) => (
          <li key={node.service} class="row">
            <Dot service={node.service} />
            <button type="button" class="link grow" onClick={() => onSelect({ kind: 'node', service: node.service })}>
              {node.service}
            </button>
            <span class="tag error">{percent(share(node))}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Figures({ of }: { of: [string, preact.ComponentChildren][] }) {
  return (
    <dl class="pairs">
      {of.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

function EdgeSide({ edge, seconds }: { edge: api.GraphEdge; seconds: number }) {
  const { client, server, calls, errors } = edge;
  const between = `{ resource.service.name = ${JSON.stringify(client)} } >> { resource.service.name = ${JSON.stringify(server)}`;
  const quantiles = (p50: number, p95: number, p99: number) => [p50, p95, p99].map((value) => duration(value * 1e9)).join(' / ');
  const figures: [string, preact.ComponentChildren][] = [
    [text.mesh.rate, rate(calls / seconds)],
    [text.mesh.calls, compact(calls)],
    [text.mesh.errors, errors > 0 ? <span class="bad">{percent(errors / calls)}</span> : '0 %'],
    [`${text.mesh.client} p50/p95/p99`, quantiles(edge.clientP50, edge.clientP95, edge.clientP99)],
    [`${text.mesh.server} p50/p95/p99`, quantiles(edge.serverP50, edge.serverP95, edge.serverP99)],
  ];
  return (
    <aside class="panel mesh-side" aria-label={text.mesh.edge(client, server)}>
      <header>
        <h2>
          {client} → {server}
        </h2>
        {edge.connectionType && <span class="tag">{text.mesh[edge.connectionType]}</span>}
      </header>
      <div class="body stack">
        <Figures of={figures} />
        <div class="row wrap">
          <Link class="button" to={address(['explore'], { q: `${between} }`, mode: 'query' })}>
            {text.mesh.traces}
          </Link>
          {errors > 0 && (
            <Link class="button" to={address(['explore'], { q: `${between} && status = error }`, mode: 'query' })}>
              {text.mesh.failing}
            </Link>
          )}
        </div>
      </div>
    </aside>
  );
}

interface NodeSideProps extends Omit<SideProps, 'selection'> {
  service: string;
}

function NodeSide({ graph, seconds, service, onSelect }: NodeSideProps) {
  const node = graph.nodes.find((found) => found.service === service);
  const edges = graph.edges.map((edge, at) => ({ edge, at }));
  const lists = [
    [text.mesh.callers, edges.filter(({ edge }) => edge.server === service)],
    [text.mesh.callees, edges.filter(({ edge }) => edge.client === service)],
  ] as const;
  return (
    <aside class="panel mesh-side" aria-label={service}>
      <header>
        <Dot service={service} />
        <h2 class="grow">{service}</h2>
      </header>
      <div class="body stack">
        {node?.virtual && <p class="muted">{text.mesh.virtual}</p>}
        {node && node.requests > 0 && (
          <Figures
            of={[
              [text.mesh.rate, rate(node.requests / seconds)],
              [text.mesh.requests, compact(node.requests)],
              [text.mesh.errors, node.errors > 0 ? <span class="bad">{percent(node.errors / node.requests)}</span> : '0 %'],
              ['p50 / p95 / p99', [node.p50, node.p95, node.p99].map((value) => duration(value * 1e9)).join(' / ')],
            ]}
          />
        )}
        {!node?.virtual && (
          <div class="row wrap">
            <Link class="button primary" to={address(['service', service])}>
              {text.mesh.open}
            </Link>
            <Link class="button" to={address(['explore'], { q: spansOf({ service }) })}>
              {text.mesh.traces}
            </Link>
            <Link class="button" to={address(['explore'], { q: spansOf({ service, conditions: ['status = error'] }) })}>
              {text.mesh.failing}
            </Link>
          </div>
        )}
        {lists.map(
          ([title, list]) =>
            list.length > 0 && (
              <section key={title}>
                <h3>{title}</h3>
                <ul>
                  {list.map(({ edge, at }) => (
                    <li key={at} class="row">
                      <button type="button" class="link grow ellipsis" onClick={() => onSelect({ kind: 'edge', at })}>
                        {edge.server === service ? edge.client : edge.server}
                      </button>
                      <span class="muted">{rate(edge.calls / seconds)}</span>
                      {edge.errors > 0 && <span class="tag error">{percent(edge.errors / edge.calls)}</span>}
                    </li>
                  ))}
                </ul>
              </section>
            ),
        )}
      </div>
    </aside>
  );
}

interface ListProps {
  graph: api.ServiceGraph;
  seconds: number;
  quantile: Quantile;
  find: string;
}

function List({ graph, seconds, quantile, find }: ListProps) {
  const wanted = graph.nodes.filter(({ service }) => service.toLowerCase().includes(find.toLowerCase()));
  const rows = wanted.sort((a, b) => b.errors / Math.max(b.requests, 1) - a.errors / Math.max(a.requests, 1) || b.requests - a.requests);
  const slowestCall = (service: string) =>
    Math.max(0, ...graph.edges.filter((edge) => edge.server === service).map((edge) => edgeLatency(edge, quantile)));
  return (
    <section class="panel scroll-x" aria-label={text.mesh.list}>
      <table>
        <thead>
          <tr>
            <th scope="col">{text.mesh.service}</th>
            <th scope="col" class="num">
              {text.mesh.rate}
            </th>
            <th scope="col" class="num">
              {text.mesh.errors}
            </th>
            <th scope="col" class="num">
              {quantile}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((node) => (
            <tr key={node.service}>
              <td>
                <Dot service={node.service} />{' '}
                {node.virtual ? node.service : <Link to={address(['service', node.service])}>{node.service}</Link>}
              </td>
              <td class="num">{rate(node.requests / seconds)}</td>
              <td class="num">{node.errors > 0 ? <span class="tag error">{percent(node.errors / node.requests)}</span> : ''}</td>
              <td class="num">{duration(node[quantile] * 1e9 || slowestCall(node.service))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
