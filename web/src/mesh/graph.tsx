import { useMemo, useRef, useState } from 'preact/hooks';

import type { GraphEdge, GraphNode, ServiceGraph } from '../api';
import { duration, percent, rate } from '../format';
import { text } from '../text';
import { colorOf } from '../ui/colors';
import { useWidth } from '../ui/canvas';
import { NODE, curve, layout } from './layout';

export type Shown = 'rate' | 'errors' | 'latency';
export type Quantile = 'p50' | 'p95' | 'p99';

/** A service, or a connection as `client→server` with its number. */
export type Selection = { kind: 'node'; service: string } | { kind: 'edge'; at: number } | undefined;

interface GraphProps {
  graph: ServiceGraph;
  seconds: number;
  shown: Shown;
  quantile: Quantile;
  find: string;
  selection: Selection;
  onSelect: (selection: Selection) => void;
}

const EDGE_QUANTILES = {
  p50: ['serverP50', 'clientP50'],
  p95: ['serverP95', 'clientP95'],
  p99: ['serverP99', 'clientP99'],
} as const;

/** Nanoseconds: as the server measured it, or else as its callers did. */
export function edgeLatency(edge: GraphEdge, quantile: Quantile): number {
  const [server, client] = EDGE_QUANTILES[quantile];
  return (edge[server] || edge[client]) * 1e9;
}

function labelOf(edge: GraphEdge, { shown, quantile, seconds }: GraphProps): string {
  if (shown === 'rate') return rate(edge.calls / seconds);
  if (shown === 'errors') return edge.errors > 0 ? percent(edge.errors / edge.calls) : '';
  return duration(edgeLatency(edge, quantile));
}

export function Graph(props: GraphProps) {
  const { graph, onSelect, selection } = props;
  const placed = useMemo(() => layout(graph), [graph]);
  const [host, width] = useWidth<HTMLDivElement>();
  const [zoom, setZoom] = useState(1);
  const drag = useRef<{ x: number; y: number; left: number; top: number } | undefined>(undefined);
  const fit = Math.min(1.15, width > 0 ? Math.max(width / placed.width, 0.75) : 1);
  const scale = fit * zoom;
  const most = Math.max(...graph.edges.map(({ calls }) => calls), 1);
  const known = new Map(graph.nodes.map((node) => [node.service, node]));
  return (
    <div class="graph-box">
      <div class="graph-tools">
        {[
          ['+', text.mesh.zoomIn, () => setZoom(Math.min(zoom * 1.25, 4))],
          ['−', text.mesh.zoomOut, () => setZoom(Math.max(zoom / 1.25, 0.2))],
          ['⤢', text.mesh.fit, () => setZoom(1)],
        ].map(([sign, label, act]) => (
          <button
            key={label as string}
            type="button"
            class="button icon"
            aria-label={label as string}
            title={label as string}
            onClick={act as () => void}
          >
            {sign as string}
          </button>
        ))}
      </div>
      <div
        class="graph"
        ref={host}
        tabIndex={0}
        style={{ minHeight: `${Math.min(placed.height * scale + 60, 620)}px` }}
        role="group"
        aria-label={text.mesh.graphLabel(placed.nodes.size, graph.edges.length)}
        onPointerDown={(event) => {
          const { scrollLeft: left, scrollTop: top } = event.currentTarget;
          drag.current = { x: event.clientX, y: event.clientY, left, top };
        }}
        onPointerMove={(event) => {
          const from = drag.current;
          if (!from || event.buttons === 0) return;
          event.currentTarget.scrollLeft = from.left - (event.clientX - from.x);
          event.currentTarget.scrollTop = from.top - (event.clientY - from.y);
        }}
        onPointerUp={() => (drag.current = undefined)}
        onClick={() => onSelect(undefined)}
      >
        <svg
          width={placed.width * scale}
          height={placed.height * scale}
          viewBox={`0 0 ${placed.width} ${placed.height}`}
        >
          {graph.edges.map((edge, at) => (
            <Edge
              key={`${edge.client} ${edge.server} ${edge.connectionType}`}
              edge={edge}
              points={placed.edges[at] ?? []}
              label={labelOf(edge, props)}
              width={1.2 + 4.5 * Math.sqrt(edge.calls / most)}
              faint={isFaint(edge, selection, at)}
              selected={selection?.kind === 'edge' && selection.at === at}
              onSelect={() => onSelect({ kind: 'edge', at })}
            />
          ))}
          {[...placed.nodes].map(([service, place]) => (
            <Node key={service} service={service} node={known.get(service)} place={place} {...props} />
          ))}
        </svg>
      </div>
    </div>
  );
}

function isFaint(edge: GraphEdge, selection: Selection, at: number): boolean {
  if (!selection) return false;
  if (selection.kind === 'edge') return selection.at !== at;
  return edge.client !== selection.service && edge.server !== selection.service;
}

interface EdgeProps {
  edge: GraphEdge;
  points: { x: number; y: number }[];
  label: string;
  width: number;
  faint: boolean;
  selected: boolean;
  onSelect: () => void;
}

function Edge({ edge, points, label, width, faint, selected, onSelect }: EdgeProps) {
  const path = curve(points);
  const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
  const tip = points.at(-1) ?? middle;
  const share = edge.calls > 0 ? edge.errors / edge.calls : 0;
  const state = `${faint ? ' faint' : ''}${selected ? ' selected' : ''}${share > 0 ? ' failing' : ''}`;
  return (
    <g
      class={`edge${state}`}
      role="button"
      tabIndex={0}
      aria-label={`${text.mesh.edge(edge.client, edge.server)} ${label}`}
      onClick={(event) => {
        event.stopPropagation();
        onSelect();
      }}
      onKeyDown={(event) => event.key === 'Enter' && onSelect()}
    >
      <path class="hit" d={path} />
      <path class="line" d={path} stroke-width={width} stroke-dasharray={edge.connectionType === 'messaging_system' ? '6 5' : undefined} />
      <path class="tip" d={`M${tip.x},${tip.y}l${-6 - width},${-3 - width / 2}v${6 + width}z`} />
      {label && (
        <text x={middle.x} y={middle.y - 6} text-anchor="middle">
          {label}
        </text>
      )}
    </g>
  );
}

interface NodeProps extends GraphProps {
  service: string;
  node: GraphNode | undefined;
  place: { x: number; y: number };
}

const RADIUS = 8;
const CHARACTERS = 20;

function Node({ service, node, place, seconds, quantile, find, selection, onSelect }: NodeProps) {
  const share = node && node.requests > 0 ? node.errors / node.requests : 0;
  const isFound = find !== '' && service.toLowerCase().includes(find.toLowerCase());
  const isSelected = selection?.kind === 'node' && selection.service === service;
  const isFaint = find !== '' && !isFound;
  const state = `${isSelected ? ' selected' : ''}${isFaint ? ' faint' : ''}${node?.virtual ? ' virtual' : ''}`;
  const [x, y] = [place.x - NODE.width / 2, place.y - NODE.height / 2];
  const figures = node && node.requests > 0 ? `${rate(node.requests / seconds)} · ${duration(node[quantile] * 1e9)}` : node?.virtual ? text.mesh.virtual_node : '';
  const short = service.length > CHARACTERS ? `${service.slice(0, CHARACTERS - 1)}…` : service;
  return (
    <g
      class={`node${state}`}
      role="button"
      tabIndex={0}
      aria-label={text.mesh.node(service, rate((node?.requests ?? 0) / seconds), percent(share))}
      aria-pressed={isSelected}
      transform={`translate(${x},${y})`}
      onClick={(event) => {
        event.stopPropagation();
        onSelect({ kind: 'node', service });
      }}
      onKeyDown={(event) => event.key === 'Enter' && onSelect({ kind: 'node', service })}
    >
      <title>{service}</title>
      <rect class="card" width={NODE.width} height={NODE.height} rx={RADIUS} />
      <rect x="10" y="13" width="9" height="9" rx="3" fill={colorOf(service)} />
      <text class="name" x="26" y="22">
        {short}
      </text>
      <text class="figures" x="26" y="40">
        {figures}
      </text>
      {share > 0 && (
        <text class="share" x={NODE.width - 10} y="40" text-anchor="end">
          {percent(share)}
        </text>
      )}
      <rect class="ok-bar" x="10" y={NODE.height - 8} width={NODE.width - 20} height="3" rx="1.5" />
      {share > 0 && (
        <rect class="error-bar" x="10" y={NODE.height - 8} width={Math.max((NODE.width - 20) * share, 3)} height="3" rx="1.5" />
      )}
    </g>
  );
}
