import { describe, expect, it } from 'vitest';

import { redirect } from './links';

function from(address: string) {
  const url = new URL(address, 'http://console/');
  return redirect({ path: url.pathname.split('/').filter(Boolean).map(decodeURIComponent), params: url.searchParams });
}

const encoded = (value: unknown) => encodeURIComponent(JSON.stringify(value));

describe('addresses of others', () => {
  it('leaves its own alone', () => {
    expect(from('/trace/abc')).toBeUndefined();
    expect(from('/explore?q=%7B%7D')).toBeUndefined();
    expect(from('/mesh')).toBeUndefined();
  });

  it('opens Explore at the root', () => expect(from('/')).toEqual({ path: ['explore'], params: {} }));

  it('finds the span that Jaeger would find', () => {
    expect(from('/trace/abc?uiFind=00f067aa0ba902b7')).toEqual({
      path: ['trace', 'abc'],
      params: { span: '00f067aa0ba902b7' },
    });
    expect(from('/trace/abc?uiFind=ratings')?.params).toEqual({ find: 'ratings' });
    expect(from('/trace/a...b?cohort=a&cohort=b')?.path).toEqual(['compare', 'a...b']);
  });

  it("searches as Jaeger's form does", () => {
    const tags = encoded({ error: 'true', 'istio.cluster_id': 'Kubernetes' });
    const found = from(`/search?service=reviews.bookinfo&limit=20&start=1700000000000000&end=1700000060000000&tags=${tags}`);
    expect(found?.params).toEqual({
      q: '{ resource.service.name = "reviews.bookinfo" && status = error && .istio.cluster_id = "Kubernetes" }',
      limit: '20',
      from: '1700000000000',
      to: '1700000060000',
    });
  });

  it("opens a trace from Grafana's panes", () => {
    const panes = encoded({
      tracing: {
        datasource: 'uid',
        queries: [{ refId: 'A', queryType: 'traceql', query: '2f3e0cee77ae5dc9c17ade3689eb2e54' }],
        panelsState: { trace: { spanId: '00f067aa0ba902b7' } },
        range: { from: 'now-1h', to: 'now' },
      },
    });
    expect(from(`/explore?panes=${panes}&schemaVersion=1&orgId=1`)).toEqual({
      path: ['trace', '2f3e0cee77ae5dc9c17ade3689eb2e54'],
      params: { span: '00f067aa0ba902b7' },
    });
  });

  it("searches as Grafana's panes say", () => {
    const filters = [
      { id: 'service-name', tag: 'service.name', operator: '=', scope: 'resource', value: ['reviews'] },
      { id: 'status', tag: 'status', operator: '=', scope: 'intrinsic', value: 'error' },
    ];
    const panes = encoded({ a: { queries: [{ queryType: 'traceqlSearch', filters, limit: 20 }], range: { from: 'now-6h', to: 'now' } } });
    expect(from(`/explore?panes=${panes}`)?.params).toEqual({
      q: '{ resource.service.name = "reviews" && status = error }',
      from: 'now-6h',
      to: 'now',
      limit: 20,
    });
  });

  it('searches as old Grafanas say, in both their forms', () => {
    const query = { queryType: 'nativeSearch', serviceName: 'reviews', search: 'http.method="GET" error=true', minDuration: '5ms' };
    const q = '{ resource.service.name = "reviews" && duration >= 5ms && .http.method = "GET" && status = error }';
    const object = { datasource: 'Tempo', queries: [query], range: { from: 'now-1h', to: 'now' } };
    expect(from(`/explore?left=${encoded(object)}`)?.params['q']).toBe(q);
    const list = ['now-1h', 'now', 'Tempo', query];
    expect(from(`/explore?left=${encoded(list)}`)?.params).toMatchObject({ q, from: 'now-1h', to: 'now' });
  });

  it('survives what is no JSON', () => {
    expect(from('/explore?left=%7B')?.params['q']).toBe('{}');
    expect(from('/search?tags=[1]')?.params['q']).toBe('{}');
  });
});
