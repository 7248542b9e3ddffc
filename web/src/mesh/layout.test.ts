import { describe, expect, it } from 'vitest';

import type { GraphEdge, ServiceGraph } from '../api';
import { NODE, curve, layout, services } from './layout';

const edge = (client: string, server: string): GraphEdge => ({
  client,
  server,
  connectionType: '',
  calls: 1,
  errors: 0,
  clientP50: 0,
  clientP95: 0,
  clientP99: 0,
  serverP50: 0,
  serverP95: 0,
  serverP99: 0,
});

const graph = (...edges: GraphEdge[]): ServiceGraph => ({ nodes: [], edges, partial: null });

describe('the service graph', () => {
  it('has callers left of what they call, and nothing over anything else', () => {
    const placed = layout(graph(edge('a', 'b'), edge('a', 'c'), edge('b', 'd'), edge('c', 'd')));
    const at = (name: string) => placed.nodes.get(name) ?? { x: NaN, y: NaN };
    expect(at('a').x + NODE.width).toBeLessThan(at('b').x);
    expect(at('b').x + NODE.width).toBeLessThan(at('d').x);
    expect(Math.abs(at('b').y - at('c').y)).toBeGreaterThanOrEqual(NODE.height);
    expect(placed.edges.every((points) => points.length >= 2)).toBe(true);
  });

  it('survives circles, services that call themselves, and several connections of two', () => {
    const placed = layout(graph(edge('a', 'b'), edge('b', 'a'), edge('a', 'a'), edge('a', 'b')));
    expect(placed.nodes.size).toBe(2);
    expect(placed.edges).toHaveLength(4);
    expect(services(graph(edge('a', 'b')))).toEqual(['a', 'b']);
  });

  it('draws lines', () => {
    expect(curve([])).toBe('');
    expect(curve([{ x: 0, y: 0 }, { x: 10, y: 4 }])).toBe('M0,0C5,0 5,4 10,4');
  });
});
