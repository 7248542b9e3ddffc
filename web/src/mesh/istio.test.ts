import { describe, expect, it } from 'vitest';

import { meshFacts, nodeOf, upstreamOf, workloadOf } from './istio';

const of = (attributes: Record<string, string>) =>
  Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));

describe('Istio', () => {
  it("reads a sidecar's span", () => {
    const facts = meshFacts({
      resource: of({ 'k8s.cluster.name': 'Kubernetes' }),
      attributes: of({
        component: 'proxy',
        node_id: 'sidecar~10.244.1.21~reviews-v2-7bf5c9d46d-8lz4m.bookinfo~bookinfo.svc.cluster.local',
        response_flags: 'UF,URX',
        upstream_cluster: 'outbound|9080||ratings.bookinfo.svc.cluster.local',
        'istio.source_workload': 'reviews-v2',
        'istio.source_namespace': 'bookinfo',
        'http.method': 'GET',
        'http.status_code': '503',
      }),
    });
    expect(facts).toMatchObject({
      proxy: 'sidecar',
      pod: 'reviews-v2-7bf5c9d46d-8lz4m',
      workload: 'reviews-v2',
      namespace: 'bookinfo',
      cluster: 'Kubernetes',
      flags: ['UF', 'URX'],
      source: { workload: 'reviews-v2', namespace: 'bookinfo' },
      destination: undefined,
      upstream: { direction: 'outbound', port: '9080', host: 'ratings.bookinfo.svc.cluster.local' },
      http: { method: 'GET', status: '503' },
    });
  });

  it('knows waypoints by their node, and ambient peers without one', () => {
    expect(meshFacts({ resource: [], attributes: of({ node_id: 'waypoint~1~wp-abc.shop~shop.svc.x' }) })?.proxy).toBe('waypoint');
    const ambient = meshFacts({ resource: [], attributes: of({ 'istio.destination_canonical_service': 'cart' }) });
    expect(ambient).toMatchObject({ proxy: '', destination: { service: 'cart' } });
  });

  it('finds nothing of a mesh in an application span', () =>
    expect(meshFacts({ resource: of({ 'service.name': 'x' }), attributes: of({ 'http.method': 'GET' }) })).toBeUndefined());

  it('takes "-" for nothing', () =>
    expect(meshFacts({ resource: [], attributes: of({ component: 'proxy', response_flags: '-' }) })?.flags).toEqual([]));

  it('takes names apart', () => {
    expect(workloadOf('reviews-v1-6c8d5f7b9d-kq2xw')).toBe('reviews-v1');
    expect(workloadOf('postgres-0')).toBe('postgres-0');
    expect(nodeOf('x')).toBeUndefined();
    expect(upstreamOf('outbound|443|v1|api.example.org')).toEqual({ direction: 'outbound', port: '443', subset: 'v1', host: 'api.example.org' });
    expect(upstreamOf('PassthroughCluster')).toBeUndefined();
  });
});
