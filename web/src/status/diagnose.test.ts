import { describe, expect, it } from 'vitest';

import { text } from '../text';
import { type Facts, diagnose } from './diagnose';

const NOW = 1_700_000_000_000;

const facts = (more: Partial<Facts> = {}): Facts => ({
  phase: 'ready',
  multitenancy: false,
  tenant: '',
  tenantsWithSpans: [],
  received: 0,
  refused: 0,
  stored: 0,
  failedWrites: 0,
  inRange: 0,
  newest: undefined,
  range: { start: NOW - 900_000, end: NOW },
  serverNow: NOW,
  browserNow: NOW,
  addresses: { otlpGrpc: '0.0.0.0:4317', otlpHttp: '127.0.0.1:4318' },
  host: 'vivace.example',
  ...more,
});

const first = (more: Partial<Facts>) => diagnose(facts(more))[0];

describe('the diagnosis', () => {
  it('says where to send when nothing came in', () => {
    const found = diagnose(facts());
    expect(found[0]?.text).toBe(text.diagnose.nothing);
    expect(found.map((one) => one.text)).toContain(text.diagnose.send('vivace.example:4317', 'http://127.0.0.1:4318'));
    expect(found.map((one) => one.text)).toContain(text.diagnose.loopback);
    expect(found.at(-1)?.text).toBe(text.diagnose.sampling);
  });

  it('knows when all is well', () => expect(diagnose(facts({ inRange: 3, received: 9 }))).toHaveLength(1));

  it('knows tenants', () => {
    expect(first({ multitenancy: true })?.text).toBe(text.diagnose.noTenant);
    const wrong = first({ multitenancy: true, tenant: 'a', tenantsWithSpans: ['a', 'b'], stored: 5 });
    expect(wrong?.text).toBe(text.diagnose.wrongTenant('a', 'b'));
  });

  it('knows clocks', () => {
    expect(first({ newest: NOW + 7_200_000 })?.text).toBe(text.diagnose.future('2 h'));
    expect(first({ newest: NOW - 3_600_000 })?.text).toBe(text.diagnose.past('60 min'));
    expect(first({ inRange: 1, browserNow: NOW + 90_000 })?.text).toBe(text.diagnose.clock('90 s'));
  });

  it('puts what is broken first', () => {
    expect(first({ phase: 'starting', refused: 1 })?.text).toBe(text.diagnose.notReady);
    expect(first({ failedWrites: 2, inRange: 1 })?.level).toBe('error');
    expect(first({ refused: 5, inRange: 1 })?.level).toBe('warn');
  });
});
