import { describe, expect, it } from 'vitest';

import { rates, sum } from './rates';

const PAGE = `# TYPE tempo_request_duration_seconds histogram
tempo_request_duration_seconds_sum{method="GET",route="api_search",status_code="200",ws="false"} 1.5
tempo_request_duration_seconds_count{method="GET",route="api_search",status_code="200",ws="false"} 3
tempo_request_duration_seconds_count{method="GET",route="metrics",status_code="200",ws="false"} 9
vivace_head_spans 12
# EOF`;

describe('rates', () => {
  it('sum what passes', () => {
    expect(sum(PAGE, 'tempo_request_duration_seconds_count', () => true)).toBe(12);
    expect(sum(PAGE, 'tempo_request_duration_seconds_count', (labels) => labels.includes('api_search'))).toBe(3);
    expect(sum(PAGE, 'vivace_head_spans', () => true)).toBe(12);
    expect(sum(PAGE, 'vivace_head', () => true)).toBe(0);
  });

  it('are differences over time', () => {
    const zero = { at: 0, spans: 0, bytes: 0, queries: 0, querySeconds: 0, failedQueries: 0 };
    const now = { at: 2000, spans: 10, bytes: 4000, queries: 4, querySeconds: 0.2, failedQueries: 1 };
    expect(rates(zero, now)).toEqual({ spans: 5, bytes: 2000, queries: 2, failed: 0.5, meanQuery: 50e6 });
    expect(rates(now, { ...zero, at: 3000 }).spans).toBe(0);
    expect(rates(zero, { ...zero, at: 1000 }).meanQuery).toBeNaN();
  });
});
