import type { AnyValue, KeyValue } from '../api';
import { dateTime, duration, percent } from '../format';
import { FLAGS, meshFacts } from '../mesh/istio';
import { attribute, quote, spansOf } from '../query';
import { address } from '../router';
import { text } from '../text';
import { Dot, Link } from '../ui/basics';
import { textOf } from '../values';
import { Compared } from './compared';
import { type Span, type TraceModel, hex, splitNanos, unixMillis } from './model';

interface DetailsProps {
  model: TraceModel;
  span: Span;
  /** Nanoseconds of it on the critical path. */
  critical: number;
  onSelect: (index: number) => void;
  onClose: () => void;
}

export function Details({ model, span, critical, onSelect, onClose }: DetailsProps) {
  const words = text.trace;
  const parent = model.spans[span.parent];
  return (
    <aside class="panel details" aria-label={words.details}>
      <header>
        <Dot service={span.service} />
        <h2 class="grow">
          <Link to={address(['service', span.service])}>{span.service || words.noService}</Link>
          <div class="name">
            {span.error && <span class="tag error">{text.explore.error}</span>} {span.name || words.noName}
          </div>
        </h2>
        <button type="button" class="button icon quiet" aria-label={words.close} onClick={onClose}>
          ×
        </button>
      </header>
      <div class="body stack">
        {span.error && span.status.message && (
          <div class="note error">
            <span>
              <strong>{text.explore.error}</strong> {span.status.message}
            </span>
          </div>
        )}
        <dl class="pairs">
          <dt>{words.duration}</dt>
          <dd>{duration(span.duration)}</dd>
          <dt>{words.self}</dt>
          <dd>
            {duration(span.self)} <span class="muted">({percent(span.duration ? span.self / span.duration : 0)})</span>
          </dd>
          {critical > 0 && (
            <>
              <dt>{words.criticalPath}</dt>
              <dd>{duration(critical)}</dd>
            </>
          )}
          <dt>{words.start}</dt>
          <dd>
            +{duration(span.start)} <span class="muted">{dateTime(unixMillis(model, span.start))}</span>
          </dd>
          <dt>{words.kind}</dt>
          <dd>{span.kind || 'unspecified'}</dd>
          <dt>{words.spanId}</dt>
          <dd class="mono">{span.id}</dd>
          {span.parentId && (
            <>
              <dt>{words.parent}</dt>
              <dd>
                {parent ? (
                  <button type="button" class="link" onClick={() => onSelect(parent.index)}>
                    {parent.name || words.noName}
                  </button>
                ) : (
                  <span class="muted">
                    <span class="mono">{span.parentId}</span> {words.missingParent}
                  </span>
                )}
              </dd>
            </>
          )}
        </dl>
        <Mesh span={span} />
        <Compared model={model} span={span} />
        <Events model={model} span={span} />
        <Links span={span} />
        <Attributes title={words.attributes} scope="span" service={span.service} list={span.attributes} />
        {span.dropped > 0 && <p class="small muted">{words.dropped(span.dropped)}</p>}
        <Attributes title={words.resource} scope="resource" service={span.service} list={span.resource} />
        {span.scope.name && (
          <p class="small muted">
            {words.scope}: {span.scope.name} {span.scope.version}
          </p>
        )}
      </div>
    </aside>
  );
}

function Mesh({ span }: { span: Span }) {
  const facts = meshFacts(span);
  if (!facts) return null;
  const peerText = (peer: typeof facts.source) =>
    peer && [peer.workload || peer.service || peer.instance, peer.namespace].filter(Boolean).join('.');
  const route = [peerText(facts.source), peerText(facts.destination)];
  const rows: [string, string | undefined][] = [
    ['Proxy', facts.proxy],
    ['Workload', [facts.workload, facts.namespace].filter(Boolean).join('.')],
    ['Pod', facts.pod],
    ['Cluster', facts.cluster],
    ['From → to', route.some(Boolean) ? route.map((side) => side ?? '?').join(' → ') : ''],
    ['Upstream', facts.upstream && `${facts.upstream.host}:${facts.upstream.port} ${facts.upstream.subset}`],
    ['HTTP', [facts.http.method, facts.http.status].filter(Boolean).join(' ')],
  ];
  return (
    <section>
      <h3>{text.trace.mesh}</h3>
      <dl class="pairs">
        {rows.map(([name, value]) =>
          value ? (
            <>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </>
          ) : null,
        )}
        {facts.flags.map((flag) => (
          <>
            <dt>{text.service.flags}</dt>
            <dd>
              <span class="tag error">{flag}</span> {FLAGS[flag]}
            </dd>
          </>
        ))}
      </dl>
    </section>
  );
}

function Events({ model, span }: { model: TraceModel; span: Span }) {
  if (span.events.length === 0) return null;
  const since = (nanos: string | undefined) => {
    const time = splitNanos(nanos);
    return (time.seconds - model.origin.seconds) * 1e9 + time.nanos - model.origin.nanos - span.start;
  };
  return (
    <section>
      <h3>
        {text.trace.events} ({span.events.length})
      </h3>
      <ul class="stack">
        {span.events.map((event, at) => (
          <li key={at} class="event">
            <strong>{event.name}</strong> <span class="muted">+{duration(since(event.timeUnixNano))}</span>
            {(event.attributes ?? []).map(({ key, value }) => (
              <pre key={key}>
                {key}: {textOf(value)}
              </pre>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Links({ span }: { span: Span }) {
  if (span.links.length === 0) return null;
  return (
    <section>
      <h3>
        {text.trace.links} ({span.links.length})
      </h3>
      <ul>
        {span.links.map((link, at) => (
          <li key={at}>
            <Link class="mono" to={address(['trace', hex(link.traceId)], { span: hex(link.spanId) })}>
              {hex(link.traceId)}
            </Link>
            {(link.attributes ?? []).map(({ key, value }) => (
              <span key={key} class="tag mono">
                {key}={textOf(value)}
              </span>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface AttributesProps {
  title: string;
  scope: 'span' | 'resource';
  service: string;
  list: KeyValue[];
}

function Attributes({ title, scope, service, list }: AttributesProps) {
  if (list.length === 0) return null;
  const sorted = [...list].sort((a, b) => a.key.localeCompare(b.key));
  return (
    <section>
      <h3>
        {title} ({list.length})
      </h3>
      <ul class="attributes">
        {sorted.map(({ key, value }) => {
          const name = attribute(scope, key);
          const wanted = literalOf(value);
          return (
            <li key={key}>
              <span class="key mono">{key}</span>
              <span class="value mono">{textOf(value)}</span>
              {wanted !== undefined && (
                <span class="actions">
                  <Link
                    class="button tiny"
                    to={address(['explore'], { q: spansOf({ conditions: [`${name} = ${wanted}`] }) })}
                    aria-label={text.trace.find(key)}
                    title={text.trace.find(key)}
                  >
                    =
                  </Link>
                  <Link
                    class="button tiny"
                    to={address(['explore'], { q: spansOf({ service, conditions: [`${name} != ${wanted}`] }) })}
                    aria-label={text.trace.exclude(key)}
                    title={text.trace.exclude(key)}
                  >
                    ≠
                  </Link>
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** A value as TraceQL compares it; `undefined` for lists and maps. */
function literalOf(value: AnyValue | undefined): string | undefined {
  if (!value) return undefined;
  if (value.stringValue !== undefined) return quote(value.stringValue);
  const plain = value.intValue ?? value.doubleValue ?? value.boolValue;
  return plain === undefined ? undefined : String(plain);
}
