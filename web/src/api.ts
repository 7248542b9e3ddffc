// What the server is asked and what it answers: the one place that knows its endpoints (`docs/api.md`).

import { endpoint } from './router';
import type { TimeRange } from './time';

export type AnyValue = {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string;
  doubleValue?: number | string;
  bytesValue?: string;
  arrayValue?: { values?: AnyValue[] };
  kvlistValue?: { values?: KeyValue[] };
};

export interface KeyValue {
  key: string;
  value?: AnyValue;
}

export interface MatchedSpan {
  spanID: string;
  name?: string;
  startTimeUnixNano: string;
  durationNanos?: string;
  attributes?: KeyValue[];
}

export interface SpanSet {
  spans?: MatchedSpan[];
  matched?: number;
  attributes?: KeyValue[];
}

export interface FoundTrace {
  traceID: string;
  rootServiceName?: string;
  rootTraceName?: string;
  startTimeUnixNano: string;
  durationMs?: number;
  spanSets?: SpanSet[];
  serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>;
}

export interface SearchMetrics {
  inspectedTraces?: number;
  inspectedBytes?: string;
  inspectedSpans?: string;
}

interface SearchAnswer {
  traces?: FoundTrace[];
  metrics?: SearchMetrics;
}

export interface OtlpSpan {
  traceId?: string;
  spanId?: string;
  parentSpanId?: string;
  traceState?: string;
  name?: string;
  kind?: string;
  startTimeUnixNano?: string;
  endTimeUnixNano?: string;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
  events?: OtlpEvent[];
  links?: OtlpLink[];
  status?: { code?: string; message?: string };
}

export interface OtlpEvent {
  timeUnixNano?: string;
  name?: string;
  attributes?: KeyValue[];
}

export interface OtlpLink {
  traceId?: string;
  spanId?: string;
  attributes?: KeyValue[];
}

export interface OtlpScope {
  name?: string;
  version?: string;
}

export interface ResourceSpans {
  resource?: { attributes?: KeyValue[] };
  scopeSpans?: { scope?: OtlpScope; spans?: OtlpSpan[] }[];
}

export interface TraceAnswer {
  trace?: { resourceSpans?: ResourceSpans[] };
  status?: string;
  message?: string;
}

export interface Sample {
  timestampMs: string;
  value?: number | string;
}

export interface Exemplar {
  labels?: KeyValue[];
  value?: number | string;
  timestampMs: string;
}

export interface Series {
  labels?: KeyValue[];
  samples?: Sample[];
  exemplars?: Exemplar[];
  /** Of an instant query. */
  value?: number | string;
}

export interface MetricsAnswer {
  series?: Series[];
  status?: string;
  message?: string;
}

export interface TagScope {
  name: string;
  tags?: string[];
}

export interface TagValue {
  type: string;
  value: string;
}

export interface GraphNode {
  service: string;
  requests: number;
  errors: number;
  p50: number;
  p95: number;
  p99: number;
  virtual: boolean;
}

export interface GraphEdge {
  client: string;
  server: string;
  connectionType: '' | 'messaging_system' | 'database' | 'virtual_node';
  calls: number;
  errors: number;
  clientP50: number;
  clientP95: number;
  clientP99: number;
  serverP50: number;
  serverP95: number;
  serverP99: number;
}

/** Times in seconds. */
export interface ServiceGraph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  partial: string | null;
}

export interface DiffSpan {
  path: number[];
  service?: string;
  name?: string;
  kind?: string;
  duration_nanos?: number | null;
  status?: string;
}

export interface DiffChange {
  op: 'add' | 'remove' | 'modify';
  target: { type: string; name?: string; scope?: string; key?: string };
  before?: unknown;
  after?: unknown;
}

export interface TracePatch {
  stats: {
    spanCountA: number;
    spanCountB: number;
    matchedSpans: number;
    modifiedSpans: number;
    addedSpans: number;
    removedSpans: number;
    truncated?: boolean;
  };
  modified?: { span: DiffSpan; changes: DiffChange[] }[];
  added?: { target: { parentPath?: number[]; index?: number }; span: DiffSpan }[];
  removed?: { target: { path?: number[] }; span: DiffSpan }[];
  warnings?: { code: string; message: string }[];
}

export interface ServerStatus {
  version: string;
  phase: 'starting' | 'ready' | 'stopping';
  nowUnixMs: number;
  multitenancy: boolean;
  addresses: { http: string; grpc: string; otlpGrpc: string; otlpHttp: string };
  memory: {
    limitBytes: number;
    budgetBytes: number;
    reservedBytes: number;
    holders: { name: string; bytes: number }[];
  };
  ingest: {
    spansReceived: number;
    bytesReceived: number;
    refusedSpans: number;
    headSpans: number;
    headBytes: number;
    blocksCut: number;
    blockCutFailures: number;
    walSegments: number;
    walBytes: number;
    walFailedGroups: number;
  };
  limits: { name: string; value: string; doc: string }[];
  tenants: TenantStorage[];
  tenantsLeftOut: number;
}

export interface TenantStorage {
  tenant: string;
  blocks: number;
  spans: number;
  bytes: number;
  ages: { underSeconds: number | null; blocks: number; spans: number; bytes: number }[];
}

/** An answer, and why it may not be complete. */
export interface Answer<T> {
  body: T;
  partial: string | undefined;
}

/** The server refused, failed, or was not there (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Where in the query the error is, both from 1. */
  get position(): { line: number; column: number } | undefined {
    const found = /at line (\d+), col (\d+)/.exec(this.message);
    return found ? { line: Number(found[1]), column: Number(found[2]) } : undefined;
  }
}

let tenant = '';

/** The tenant that requests are about from now on; empty for none. */
export function setTenant(id: string): void {
  tenant = id;
}

type Params = Record<string, string | number | undefined>;

async function ask(path: string, params: Params, signal?: AbortSignal, body?: unknown): Promise<Response> {
  const url = endpoint(path);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = { accept: 'application/json' };
  if (tenant) headers['x-scope-orgid'] = tenant;
  const init: RequestInit = { headers };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.method = 'POST';
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'The server does not answer.');
  }
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new ApiError(response.status, text || `The server answered ${response.status}.`);
  }
  return response;
}

async function get<T>(path: string, params: Params, signal?: AbortSignal): Promise<Answer<T>> {
  const response = await ask(path, params, signal);
  const body = (await response.json()) as T;
  return { body, partial: response.headers.get('x-vivace-partial') ?? undefined };
}

const seconds = (range: TimeRange): Params => ({
  start: Math.floor(range.start / 1e3),
  end: Math.max(Math.ceil(range.end / 1e3), Math.floor(range.start / 1e3) + 1),
});

export interface SearchParams {
  q: string;
  range: TimeRange;
  limit: number;
  spansPerTrace?: number;
}

/** The newest traces that match. */
export async function search(params: SearchParams, signal?: AbortSignal): Promise<Answer<Required<SearchAnswer>>> {
  const { q, range, limit, spansPerTrace } = params;
  const found = await get<SearchAnswer>('api/search', { q, limit, spss: spansPerTrace, ...seconds(range) }, signal);
  return { ...found, body: { traces: found.body.traces ?? [], metrics: found.body.metrics ?? {} } };
}

/** The newest matching trace there is, whatever its time. */
export async function searchAnyTime(q: string, signal?: AbortSignal): Promise<FoundTrace | undefined> {
  const found = await get<SearchAnswer>('api/search', { q, limit: 1 }, signal);
  return found.body.traces?.[0];
}

export async function trace(id: string, signal?: AbortSignal): Promise<Answer<TraceAnswer>> {
  const found = await get<TraceAnswer>(`api/v2/traces/${encodeURIComponent(id)}`, {}, signal);
  const { status, message } = found.body;
  return { ...found, partial: found.partial ?? (status === 'PARTIAL' ? (message ?? status) : undefined) };
}

/** The address of a trace's JSON. */
export function traceAddress(id: string): string {
  return endpoint(`api/v2/traces/${encodeURIComponent(id)}`).href;
}

export interface RangeParams {
  q: string;
  range: TimeRange;
  /** Seconds. */
  step?: number;
  exemplars?: number;
}

export async function metricsRange(params: RangeParams, signal?: AbortSignal): Promise<Answer<Series[]>> {
  const { q, range, step, exemplars } = params;
  const answer = await get<MetricsAnswer>(
    'api/metrics/query_range',
    { q, step: step === undefined ? undefined : `${step}s`, exemplars, ...seconds(range) },
    signal,
  );
  return series(answer);
}

export async function metricsInstant(q: string, range: TimeRange, signal?: AbortSignal): Promise<Answer<Series[]>> {
  return series(await get<MetricsAnswer>('api/metrics/query', { q, ...seconds(range) }, signal));
}

function series(answer: Answer<MetricsAnswer>): Answer<Series[]> {
  const { status, message, series: found } = answer.body;
  const partial = answer.partial ?? (status === 'PARTIAL' ? (message ?? status) : undefined);
  return { body: found ?? [], partial };
}

export async function tagNames(q: string, range: TimeRange, signal?: AbortSignal): Promise<TagScope[]> {
  const answer = await get<{ scopes?: TagScope[] }>('api/v2/search/tags', { q, ...seconds(range) }, signal);
  return answer.body.scopes ?? [];
}

export interface TagValuesParams {
  tag: string;
  q: string;
  range: TimeRange;
  limit?: number;
}

export async function tagValues(params: TagValuesParams, signal?: AbortSignal): Promise<TagValue[]> {
  const { tag, q, range, limit } = params;
  const path = `api/v2/search/tag/${encodeURIComponent(tag)}/values`;
  const answer = await get<{ tagValues?: TagValue[] }>(path, { q, limit, ...seconds(range) }, signal);
  return answer.body.tagValues ?? [];
}

export async function serviceGraph(range: TimeRange, signal?: AbortSignal): Promise<ServiceGraph> {
  return (await get<ServiceGraph>('api/service-graph', seconds(range), signal)).body;
}

export async function traceDiff(base: string, compare: string, signal?: AbortSignal): Promise<TracePatch> {
  const body = { base: { traceId: base }, compare: { traceId: compare } };
  return (await (await ask('api/v2/traces/diff', {}, signal, body)).json()) as TracePatch;
}

export async function status(signal?: AbortSignal): Promise<ServerStatus> {
  return (await get<ServerStatus>('api/console/status', {}, signal)).body;
}

/** The text of `/metrics`. */
export async function metricsPage(signal?: AbortSignal): Promise<string> {
  return (await ask('metrics', {}, signal)).text();
}
