// Deterministic spans: a small shop behind sidecars, and one very large trace.

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string };
}

const text = (key: string, stringValue: string): Attribute => ({ key, value: { stringValue } });

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');

/** Nanoseconds since 1970 as OTLP writes them; `micros` after `millis`. */
const nanos = (millis: number, micros: number) => String(BigInt(millis) * 1_000_000n + BigInt(Math.round(micros * 1000)));

export const traceId = (number: number) => hex(number + 1, 32);

interface Call {
  service: string;
  name: string;
  kind: number;
  from: number;
  to: number;
  parent: number;
  failed?: boolean;
  attributes?: Attribute[];
}

export const TRACES = 60;
/** Every so many a trace fails. */
export const FAILS_EVERY = 6;

function calls(number: number): Call[] {
  const failed = number % FAILS_EVERY === 0;
  const long = 2000 + (number % 10) * 900;
  const proxy = [
    text('component', 'proxy'),
    text('node_id', 'sidecar~10.0.0.7~cart-v1-7bf5c9d46d-8lz4m.shop~shop.svc.cluster.local'),
    text('upstream_cluster', 'outbound|8080||stock.shop.svc.cluster.local'),
    text('response_flags', failed ? 'UF,URX' : '-'),
    text('istio.source_workload', 'cart-v1'),
    text('istio.source_namespace', 'shop'),
    text('istio.destination_workload', 'stock-v1'),
    text('istio.destination_namespace', 'shop'),
  ];
  const made: Call[] = [
    { service: 'front.shop', name: 'GET /buy', kind: 2, from: 0, to: long + 1000, parent: -1 },
    { service: 'front.shop', name: 'GET cart', kind: 3, from: 200, to: long, parent: 0 },
    { service: 'cart.shop', name: 'GET /cart', kind: 2, from: 300, to: long - 100, parent: 1, attributes: [text('http.method', 'GET')] },
    { service: 'cart.shop', name: 'stock.shop.svc.cluster.local:8080/*', kind: 3, from: 500, to: long - 300, parent: 2, failed, attributes: proxy },
  ];
  if (!failed) made.push({ service: 'stock.shop', name: 'GET /stock', kind: 2, from: 600, to: long - 400, parent: 3 });
  return made;
}

/** Sixty traces over the five minutes before `now`. */
export function mesh(now: number) {
  const byService = new Map<string, unknown[]>();
  for (let number = 0; number < TRACES; number += 1) {
    const start = now - 300_000 + number * 4_900;
    calls(number).forEach((call, at) => {
      const span = {
        traceId: traceId(number),
        spanId: hex(number * 16 + at + 1, 16),
        ...(call.parent >= 0 ? { parentSpanId: hex(number * 16 + call.parent + 1, 16) } : {}),
        name: call.name,
        kind: call.kind,
        startTimeUnixNano: nanos(start, call.from),
        endTimeUnixNano: nanos(start, call.to),
        attributes: [...(call.attributes ?? []), { key: 'number', value: { intValue: String(number) } }],
        status: call.failed ? { code: 2, message: 'connection refused' } : {},
        ...(call.failed ? { events: [{ name: 'exception', timeUnixNano: nanos(start, call.to), attributes: [text('exception.type', 'Refused')] }] } : {}),
      };
      const known = byService.get(call.service);
      if (known) known.push(span);
      else byService.set(call.service, [span]);
    });
  }
  const resourceSpans = [...byService].map(([service, spans]) => ({
    resource: { attributes: [text('service.name', service), text('k8s.namespace.name', 'shop')] },
    scopeSpans: [{ scope: { name: 'test' }, spans }],
  }));
  return { resourceSpans };
}

export const GIANT = 'abcdef';

/** Batches of a trace of `spans` spans: a tree in which each has up to eight below it. */
export function* giant(now: number, spans: number, batch: number) {
  const start = now - 60_000;
  for (let first = 0; first < spans; first += batch) {
    const list = [];
    for (let at = first; at < Math.min(first + batch, spans); at += 1) {
      const depth = Math.floor(Math.log2(at + 1) / 3);
      const from = Math.floor((at / spans) * 40_000_000 * 0.9);
      list.push({
        traceId: GIANT.padStart(32, '0'),
        spanId: hex(at + 1, 16),
        ...(at > 0 ? { parentSpanId: hex(Math.floor((at - 1) / 8) + 1, 16) } : {}),
        name: `step ${at % 40}`,
        kind: 1,
        startTimeUnixNano: nanos(start, at === 0 ? 0 : from),
        endTimeUnixNano: nanos(start, at === 0 ? 40_000_000 : from + 2_000_000 / (depth + 1)),
        attributes: [text('item', `value-${at}`)],
        status: at % 5000 === 4999 ? { code: 2 } : {},
      });
    }
    const attributes = [text('service.name', `worker-${(first / batch) % 5}`)];
    yield { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: list }] }] };
  }
}
