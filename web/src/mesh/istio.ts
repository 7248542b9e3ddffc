// What Envoy and Istio say about a span (`reference/kiali.md` 3.2, 4.4): sidecars, gateways, waypoints, ztunnel.

import type { KeyValue } from '../api';
import { textOf } from '../values';

export interface Peer {
  workload: string;
  namespace: string;
  service: string;
  instance: string;
}

export interface MeshFacts {
  /** Which proxy wrote the span; empty for an application's own. */
  proxy: '' | 'sidecar' | 'router' | 'waypoint' | 'ztunnel' | 'proxy';
  pod: string;
  workload: string;
  namespace: string;
  cluster: string;
  revision: string;
  source: Peer | undefined;
  destination: Peer | undefined;
  /** Where the proxy sent it. */
  upstream: { direction: string; port: string; subset: string; host: string } | undefined;
  flags: string[];
  http: { method: string; url: string; status: string };
}

interface Named {
  attributes: KeyValue[];
  resource: KeyValue[];
}

/** Facts of a span; `undefined` when it has none of a mesh. */
export function meshFacts({ attributes, resource }: Named): MeshFacts | undefined {
  const lookup = new Map([...resource, ...attributes].map(({ key, value }) => [key, textOf(value)]));
  const of = (...keys: string[]) => keys.map((key) => lookup.get(key) ?? '').find((value) => value && value !== '-') ?? '';
  const node = nodeOf(of('node_id'));
  const isProxy = of('component') === 'proxy' || node !== undefined;
  const peers = { source: peer('source', of), destination: peer('destination', of) };
  if (!isProxy && !of('istio.mesh_id', 'istio.canonical_service') && !peers.source && !peers.destination) return undefined;
  const pod = node?.pod ?? of('k8s.pod.name', 'hostname');
  return {
    proxy: proxyOf(node?.type, isProxy),
    pod,
    workload: of('k8s.deployment.name') || workloadOf(pod),
    namespace: of('istio.namespace', 'k8s.namespace.name') || (node?.namespace ?? ''),
    cluster: of('istio.cluster_id', 'k8s.cluster.name'),
    revision: of('istio.canonical_revision'),
    ...peers,
    upstream: upstreamOf(of('upstream_cluster', 'upstream_cluster.name')),
    flags: of('response_flags').split(',').map((flag) => flag.trim()).filter(Boolean),
    http: {
      method: of('http.request.method', 'http.method'),
      url: of('url.full', 'http.url', 'url.path', 'http.target'),
      status: of('http.response.status_code', 'http.status_code'),
    },
  };
}

function proxyOf(type: string | undefined, isProxy: boolean): MeshFacts['proxy'] {
  if (type === 'sidecar' || type === 'router' || type === 'waypoint' || type === 'ztunnel') return type;
  return isProxy ? 'proxy' : '';
}

function peer(side: 'source' | 'destination', of: (...keys: string[]) => string): Peer | undefined {
  const [workload, namespace] = [of(`istio.${side}_workload`), of(`istio.${side}_namespace`)];
  const [service, instance] = [of(`istio.${side}_canonical_service`), of(`istio.${side}_instance_name`)];
  return workload || service || instance ? { workload, namespace, service, instance } : undefined;
}

/** `sidecar~10.0.0.1~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local` */
export function nodeOf(id: string): { type: string; pod: string; namespace: string } | undefined {
  const [type, , third = '', domain] = id.split('~');
  if (!type || domain === undefined) return undefined;
  const dot = third.lastIndexOf('.');
  return dot < 0 ? { type, pod: third, namespace: '' } : { type, pod: third.slice(0, dot), namespace: third.slice(dot + 1) };
}

/** `outbound|9080|v1|reviews.bookinfo.svc.cluster.local`; hosts of any domain. */
export function upstreamOf(cluster: string): MeshFacts['upstream'] {
  const [direction, port = '', subset = '', host] = cluster.split('|');
  return direction && host !== undefined ? { direction, port, subset, host } : undefined;
}

/** The workload of a pod: without the pod's own suffix and that of its ReplicaSet. */
export function workloadOf(pod: string): string {
  const withoutPod = pod.replace(/-[a-z0-9]{5}$/, '');
  return withoutPod.replace(/-[bcdfghjklmnpqrstvwxz2456789]{6,16}$/, '');
}

/** What Envoy's response flags mean. */
export const FLAGS: Record<string, string> = {
  DC: 'The client closed the connection.',
  DF: 'The name could not be resolved.',
  DI: 'A delay was injected.',
  DO: 'Dropped for overload.',
  DPE: 'The client broke the protocol.',
  DR: 'The client reset the stream.',
  DT: 'The request or connection took longer than allowed.',
  FI: 'An abort was injected.',
  IH: 'A header had a value that is not allowed.',
  LH: 'The health check failed.',
  LR: 'The proxy reset the stream.',
  NC: 'There is no such upstream cluster.',
  NFCF: 'A filter ended the request because its configuration is missing.',
  NR: 'No route fits the request.',
  OM: 'The overload manager ended the request.',
  RFCF: 'Answered from a filter’s configuration.',
  RL: 'Refused: rate limit.',
  RLSE: 'The rate limit service failed.',
  SI: 'The stream was idle for too long.',
  UAEX: 'The external authorisation refused it.',
  UC: 'The upstream closed the connection.',
  UF: 'The connection to the upstream failed.',
  UH: 'No upstream host is healthy.',
  UMSDR: 'The stream took longer than its maximum.',
  UO: 'Circuit breaker: too many requests upstream.',
  UPE: 'The upstream broke the protocol.',
  UR: 'The upstream reset the stream.',
  URX: 'All retries were used up.',
  UT: 'The upstream did not answer in time.',
};
