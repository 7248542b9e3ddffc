import { describe, expect, it } from 'vitest';

import { placeOf, withoutCurrent } from './complete';

describe('places in a query', () => {
  it.each([
    ['{', 'attribute', 1],
    ['{ res', 'attribute', 2],
    ['{ .a = 1 && span.ht', 'attribute', 12],
    ['{ (.a = 1 || na', 'attribute', 13],
    ['{ .a = 1 } | by(res', 'attribute', 16],
    ['{ .a = 1 } >> { st', 'attribute', 16],
    ['{ resource.service.name ', 'operator', 24],
    ['{ status = ', 'value', 11],
    ['{ status = er', 'value', 11],
    ['{ .a = "x y', 'value', 7],
    ['{ .a != "x" && .b =~ "', 'value', 21],
    ['{ .a = 1 } | ra', 'stage', 13],
    ['{ .a = 1 } | ', 'stage', 13],
  ])('%s ends in %s', (before, kind, from) => expect(placeOf(before)).toMatchObject({ kind, from }));

  it.each(['', '{ .a = 1 }', '{ .a = 1 ', '{ "x', '{ .a = "}" '])('%s ends nowhere', (before) =>
    expect(placeOf(before)).toBeUndefined(),
  );

  it('names the attribute whose value is typed', () => {
    expect(placeOf('{ resource.service.name = "rev')).toMatchObject({ attribute: 'resource.service.name', quoted: true });
    expect(placeOf('{ span."a b" = ')).toMatchObject({ attribute: 'span."a b"', quoted: false });
  });

  it('asks about what stands before', () => {
    expect(withoutCurrent('{ .a = 1 && .b = "')).toBe('{ .a = 1 }');
    expect(withoutCurrent('{ .b = "')).toBe('{}');
    expect(withoutCurrent('{ .a = 1 } | by(')).toBe('{}');
  });
});
