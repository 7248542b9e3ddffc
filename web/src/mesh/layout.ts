// Where the services of a graph are drawn.

import dagre from '@dagrejs/dagre';

import type { ServiceGraph } from '../api';

export const NODE = { width: 190, height: 58 };

export interface Placed {
  nodes: Map<string, { x: number; y: number }>;
  /** Points of each edge, in the order of the graph's edges. */
  edges: { x: number; y: number }[][];
  width: number;
  height: number;
}

/** Callers stand left of what they call. */
export function layout(graph: ServiceGraph): Placed {
  const drawn = new dagre.graphlib.Graph({ multigraph: true });
  drawn.setGraph({ rankdir: 'LR', nodesep: 26, ranksep: 66, edgesep: 14, marginx: 16, marginy: 16 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const name of services(graph)) drawn.setNode(name, { ...NODE });
  graph.edges.forEach(({ client, server }, at) => drawn.setEdge(client, server, { width: 10, height: 10 }, String(at)));
  dagre.layout(drawn);
  const nodes = new Map(drawn.nodes().map((name) => [name, point(drawn.node(name) as { x: number; y: number })]));
  const edges = graph.edges.map(({ client, server }, at) => {
    const edge = drawn.edge(client, server, String(at)) as { points?: { x: number; y: number }[] } | undefined;
    return (edge?.points ?? []).map(point);
  });
  const { width = 0, height = 0 } = drawn.graph() as { width?: number; height?: number };
  return { nodes, edges, width, height };
}

const point = ({ x, y }: { x: number; y: number }) => ({ x, y });

/** Every service that is a node or an end of an edge. */
export function services(graph: ServiceGraph): string[] {
  const names = new Set(graph.nodes.map(({ service }) => service));
  for (const { client, server } of graph.edges) names.add(client).add(server);
  return [...names];
}

/** A smooth line through points. */
export function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${first.x},${first.y}`;
  let before = first;
  for (const next of rest) {
    const middle = (before.x + next.x) / 2;
    path += `C${middle},${before.y} ${middle},${next.y} ${next.x},${next.y}`;
    before = next;
  }
  return path;
}
