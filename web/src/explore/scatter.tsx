import { useEffect, useMemo, useRef } from 'preact/hooks';
import type UPlot from 'uplot';

import { clock, count, duration } from '../format';
import { address, navigate } from '../router';
import { isDark } from '../state';
import { text } from '../text';
import type { TimeRange } from '../time';
import { Plot, type PlotOptions } from '../ui/plot';
import { themeColor } from '../ui/theme';
import type { Area } from './area';
import type { TraceRow } from './rows';
import { timeAndDuration } from './scales';
import { selecting, showSelection } from './select';
import { hovered } from './state';

interface ScatterProps {
  rows: TraceRow[];
  range: TimeRange;
  area: Area | undefined;
  onSelect: (area: Area) => void;
}

const HEIGHT = 200;
/** Shorter is drawn as this long: the axis is logarithmic. */
const SHORTEST = 1e4;

const yOf = (row: TraceRow) => Math.max(row.duration, SHORTEST);
const radiusOf = (row: TraceRow) => Math.min(11, 2.2 + Math.sqrt(row.spans) * 0.55);

export default function Scatter({ rows, range, area, onSelect }: ScatterProps) {
  const sorted = useMemo(() => [...rows].sort((a, b) => a.start - b.start), [rows]);
  const chart = useRef<UPlot | undefined>(undefined);
  const tip = useRef<HTMLDivElement>(null);
  const shown = useRef(sorted);
  shown.current = sorted;
  const chosen = useRef(onSelect);
  chosen.current = onSelect;
  const current = useRef(area);
  current.current = area;

  const low = Math.min(...sorted.map(yOf), 1e9);
  const high = Math.max(...sorted.map(yOf), SHORTEST * 10);
  const [bottom, top] = sorted.length === 0 ? [1e6, 1e9] : [low / 1.6, high * 1.8];
  const options = useMemo<PlotOptions>(() => {
    const open = (plot: UPlot, x: number, y: number) => {
      const row = nearest(plot, shown.current, x, y);
      if (row) navigate(address(['trace', row.id]));
    };
    const { cursor, hooks } = selecting((next) => chosen.current(next), open);
    return {
      ...timeAndDuration([range.start / 1e3, range.end / 1e3], [bottom, top]),
      legend: { show: false },
      cursor: { ...cursor, move: (plot, x, y) => track(plot, shown.current, x, y, tip.current) },
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: {
        ...hooks,
        draw: [(plot) => draw(plot, shown.current, current.current)],
        setCursor: [(plot) => leave(plot, tip.current)],
      },
    };
  }, [range.start, range.end, bottom, top]);
  const data = useMemo<UPlot.AlignedData>(
    () => [sorted.map((row) => row.start / 1e3), sorted.map(yOf)],
    [sorted],
  );
  const highlighted = hovered.value;
  const dark = isDark.value;
  useEffect(() => chart.current?.redraw(false), [highlighted, area, dark]);
  return (
    <div class="plot-box">
      <Plot
        class="scatter"
        label={text.explore.scatterLabel(rows.length)}
        height={HEIGHT}
        data={data}
        options={options}
        onReady={(plot) => {
          chart.current = plot;
          showSelection(plot, area);
        }}
      />
      <div class="popover plot-tip" ref={tip} hidden />
    </div>
  );
}

export function isWithin(row: TraceRow, area: Area): boolean {
  const y = yOf(row);
  return row.start >= area.start && row.start <= area.end && y >= area.shortest && y <= area.longest;
}

function draw(plot: UPlot, rows: TraceRow[], area: Area | undefined): void {
  const { ctx } = plot;
  const ratio = window.devicePixelRatio || 1;
  const colors = { plain: themeColor('accent'), error: themeColor('error'), edge: themeColor('surface') };
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  ctx.clip();
  // Errors last, so that nothing hides them.
  const ordered = [...rows].sort((a, b) => Number(a.errors > 0) - Number(b.errors > 0));
  for (const row of ordered) {
    const isHovered = row.id === hovered.value;
    const faint = area !== undefined && !isWithin(row, area);
    ctx.globalAlpha = isHovered ? 1 : faint ? 0.2 : row.errors > 0 ? 0.85 : 0.55;
    ctx.fillStyle = row.errors > 0 ? colors.error : colors.plain;
    ctx.beginPath();
    const [x, y] = [plot.valToPos(row.start / 1e3, 'x', true), plot.valToPos(yOf(row), 'y', true)];
    ctx.arc(x, y, (radiusOf(row) + (isHovered ? 2 : 0)) * ratio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.lineWidth = ratio * (isHovered ? 2 : 0.75);
    ctx.strokeStyle = isHovered ? themeColor('text') : colors.edge;
    ctx.stroke();
  }
  ctx.restore();
}

const REACH = 14;

function nearest(plot: UPlot, rows: TraceRow[], x: number, y: number): TraceRow | undefined {
  let best: TraceRow | undefined;
  let least = REACH;
  for (const row of rows) {
    const distance = Math.hypot(plot.valToPos(row.start / 1e3, 'x') - x, plot.valToPos(yOf(row), 'y') - y);
    if (distance <= least) [best, least] = [row, distance];
  }
  return best;
}

function track(plot: UPlot, rows: TraceRow[], x: number, y: number, tip: HTMLElement | null): [number, number] {
  const row = x < 0 ? undefined : nearest(plot, rows, x, y);
  hovered.value = row?.id ?? '';
  plot.over.style.cursor = row ? 'pointer' : 'crosshair';
  if (tip) {
    tip.hidden = !row;
    if (row) place(plot, row, tip);
  }
  return [x, y];
}

function place(plot: UPlot, row: TraceRow, tip: HTMLElement): void {
  const lines = [
    `${row.service} · ${row.name}`,
    `${duration(row.duration)}, ${count(row.spans)} ${text.explore.spans.toLowerCase()}${row.errors > 0 ? `, ${row.errors} ${text.mesh.errors.toLowerCase()}` : ''}`,
    clock(row.start),
  ];
  tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement('div'), { textContent: line })));
  const left = plot.over.offsetLeft + plot.valToPos(row.start / 1e3, 'x');
  const toTheLeft = left > plot.width / 2;
  tip.style.left = toTheLeft ? '' : `${left + 14}px`;
  tip.style.right = toTheLeft ? `${plot.width - left + 14}px` : '';
  tip.style.top = `${plot.over.offsetTop + plot.valToPos(yOf(row), 'y') - 10}px`;
}

function leave(plot: UPlot, tip: HTMLElement | null): void {
  if ((plot.cursor.left ?? -1) >= 0) return;
  if (hovered.value) hovered.value = '';
  if (tip) tip.hidden = true;
}
