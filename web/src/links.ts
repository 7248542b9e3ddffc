// Addresses that others write: Kiali's and Jaeger's and Grafana's forms, each turned into one of the console's own.

import { spansOf, quote } from './query';
import type { Changes, Location } from './router';

/** An address of the console. */
export interface Target {
  path: string[];
  params: Changes;
}

const target = (path: string[], params: Changes = {}): Target => ({ path, params });

/** Where an address of another product's form leads here; `undefined` for one of our own. */
export function redirect({ path, params }: Location): Target | undefined {
  const [first, second = ''] = path;
  if (first === undefined) return target(['explore']);
  if (first === 'search') return jaegerSearch(params);
  if (first === 'trace' && second.includes('...')) return target(['compare', second]);
  if (first === 'trace' && params.has('uiFind')) {
    const wanted = params.get('uiFind') ?? '';
    return target(['trace', second], isSpanId(wanted) ? { span: wanted } : { find: wanted });
  }
  if (first === 'explore' && (params.has('left') || params.has('panes'))) return grafana(params);
  return undefined;
}

function isSpanId(text: string): boolean {
  return /^[0-9a-f]{16}$/i.test(text);
}

/** `/search?service&operation&tags&minDuration&maxDuration&limit&start&end`, times in microseconds. */
function jaegerSearch(params: URLSearchParams): Target {
  const of = (name: string) => params.get(name) || undefined;
  const conditions = Object.entries(record(of('tags'))).map(([key, value]) => tag(key, String(value)));
  const [min, max] = [of('minDuration'), of('maxDuration')];
  if (min) conditions.push(`duration >= ${min}`);
  if (max) conditions.push(`duration <= ${max}`);
  const operation = of('operation') === 'all' ? undefined : of('operation');
  const q = spansOf({ service: of('service'), operation, conditions });
  const [start, end] = [of('start'), of('end')];
  const times = start && end ? { from: millis(start), to: millis(end) } : lookback(of('lookback'));
  return target(['explore'], { q, limit: of('limit'), ...times });
}

function tag(key: string, value: string): string {
  if (key === 'error') return value === 'true' ? 'status = error' : 'status != error';
  return `.${/^[\w.-]+$/.test(key) ? key : quote(key)} = ${quote(value)}`;
}

function millis(micros: string): string {
  return String(Math.round(Number(micros) / 1e3));
}

function lookback(text: string | undefined): { from?: string; to?: string } {
  return text && text !== 'custom' ? { from: `now-${text}`, to: 'now' } : {};
}

interface GrafanaQuery {
  query?: string;
  queryType?: string;
  serviceName?: string;
  spanName?: string;
  search?: string;
  minDuration?: string;
  maxDuration?: string;
  limit?: number;
  filters?: { scope?: string; tag?: string; operator?: string; value?: string | string[] }[];
}

interface GrafanaPane {
  queries?: GrafanaQuery[];
  range?: { from?: string | number; to?: string | number };
  panelsState?: { trace?: { spanId?: string } };
}

/** `/explore?left={…}` of old Grafanas and `/explore?panes={…}` of new ones. */
function grafana(params: URLSearchParams): Target {
  const pane = paneOf(params);
  const query = pane.queries?.[0] ?? {};
  const { from, to } = pane.range ?? {};
  const times = { from: from === undefined ? undefined : String(from), to: to === undefined ? undefined : String(to) };
  const text = query.query?.trim() ?? '';
  if (/^[0-9a-f]{1,32}$/i.test(text)) {
    return target(['trace', text], { span: pane.panelsState?.trace?.spanId });
  }
  const q = text !== '' && query.queryType !== 'traceqlSearch' ? text : searched(query);
  return target(['explore'], { ...times, q, limit: query.limit });
}

function paneOf(params: URLSearchParams): GrafanaPane {
  const panes = params.get('panes');
  if (panes) return (Object.values(record(panes))[0] ?? {});
  const left = parse(params.get('left') ?? '');
  if (Array.isArray(left)) {
    const [from, to, , ...queries] = left as [string, string, string, ...GrafanaQuery[]];
    return { range: { from, to }, queries };
  }
  return left && typeof left === 'object' ? (left) : {};
}

/** The query of Grafana's search form, old or new. */
function searched(query: GrafanaQuery): string {
  const conditions = (query.filters ?? []).flatMap(filter);
  if (query.minDuration) conditions.push(`duration >= ${query.minDuration}`);
  if (query.maxDuration) conditions.push(`duration <= ${query.maxDuration}`);
  for (const [, key = '', quoted, plain] of (query.search ?? '').matchAll(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g)) {
    conditions.push(tag(key, quoted ?? plain ?? ''));
  }
  return spansOf({ service: query.serviceName || undefined, operation: query.spanName || undefined, conditions });
}

function filter({ scope = '', tag: name, operator = '=', value = '' }: NonNullable<GrafanaQuery['filters']>[number]): string[] {
  const values = Array.isArray(value) ? value : [value];
  if (!name || values.length === 0 || values[0] === '') return [];
  const isIntrinsic = scope === 'intrinsic' || ['name', 'status', 'duration', 'kind'].includes(name);
  const key = isIntrinsic ? name : `${scope === 'unscoped' ? '' : scope}.${name}`;
  if (values.length > 1) return [`${key} =~ ${quote(values.join('|'))}`];
  const [text = ''] = values;
  return [`${key} ${operator} ${isIntrinsic && name !== 'name' ? text : quote(text)}`];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function record(text: string | undefined): Record<string, unknown> {
  const value = parse(text ?? '');
  return value && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
