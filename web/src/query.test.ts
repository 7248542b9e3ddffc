import { describe, expect, it } from 'vitest';

import { EMPTY, attribute, build, conditions, narrow, quote, read, spansOf } from './query';

describe('the builder', () => {
  it('writes what its fields say', () => {
    const built = {
      ...EMPTY,
      service: 'reviews',
      status: 'error' as const,
      minDuration: '5ms',
      tags: [{ attribute: 'span.http.status_code', operator: '=' as const, value: '503' }],
    };
    expect(build(built)).toBe(
      '{ resource.service.name = "reviews" && status = error && duration >= 5ms && span.http.status_code = 503 }',
    );
    expect(build(EMPTY)).toBe('{}');
    expect(build({ ...EMPTY, minDuration: 'long' })).toBe('{}');
  });

  it.each([
    '{}',
    '{ resource.service.name = "a\\"b\\\\c" }',
    '{ name = "GET /" && status = error && duration >= 10ms && duration <= 1.5s }',
    '{ span.http.status_code = "503" && .x != 5 && span.ok = true && kind = server }',
    '{ resource.service.name =~ "rev.*" && span."a b" = "c" }',
    '{ duration > 5ms && span:kind = client }',
    '{ .a >= 3 && .b < 2h }',
  ])('reads back %s', (query) => {
    const built = read(query);
    expect(built).toBeDefined();
    expect(build(built ?? EMPTY)).toBe(query);
  });

  it.each([
    '{ .a = 1 || .b = 2 }',
    '{ .a = 1 } | count() > 2',
    '{ .a = 1 } >> { .b = 2 }',
    '{ .a = 1 && }',
    '{ !(.a = 1) }',
    '{ .a = 1',
    '{ 1 + 1 = 2 }',
  ])('leaves alone %s', (query) => expect(read(query)).toBeUndefined());
});

describe('queries', () => {
  it('quotes what could end a string', () => expect(quote('a"\\\n')).toBe('"a\\"\\\\\\n"'));

  it('scopes attributes', () => {
    expect(attribute('span', 'http.method')).toBe('span.http.method');
    expect(attribute('span', 'guid:x-request-id')).toBe('span."guid:x-request-id"');
    expect(attribute('resource', 'a b')).toBe('resource."a b"');
  });

  it('narrows a filter inside and anything else by a stage', () => {
    expect(narrow('{}', '.x = 1')).toBe('{ .x = 1 }');
    expect(narrow('', '.x = 1')).toBe('{ .x = 1 }');
    expect(narrow('{ .a = 1 }', '.x = 1')).toBe('{ .a = 1 && .x = 1 }');
    expect(narrow('{ .a = 1 || .b = 1 }', '.x = 1')).toBe('{ (.a = 1 || .b = 1) && .x = 1 }');
    expect(narrow('{ .a = 1 } >> { .b = 2 }', '.x = 1')).toBe('{ .a = 1 } >> { .b = 2 } | { .x = 1 }');
  });

  it('knows conditions', () => {
    expect(conditions('{ .a = `x` }')).toEqual([{ attribute: '.a', operator: '=', value: 'x', quoted: true }]);
    expect(spansOf({ service: 's', operation: 'o', conditions: ['kind = server'] })).toBe(
      '{ resource.service.name = "s" && name = "o" && kind = server }',
    );
  });
});
