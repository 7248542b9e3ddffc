import { useMemo, useRef } from 'preact/hooks';
import type UPlot from 'uplot';

import * as api from '../api';
import { clock, compact, duration } from '../format';
import { useLoad } from '../load';
import { text } from '../text';
import type { TimeRange } from '../time';
import { Empty, Partial, Progress } from '../ui/basics';
import { Plot, type PlotOptions } from '../ui/plot';
import { themeColor } from '../ui/theme';
import type { Area } from './area';
import { type Cells, cellsOf, stepFor } from './cells';
import { timeAndDuration } from './scales';
import { selecting, showSelection } from './select';

interface HeatmapProps {
  q: string;
  beat: number;
  range: TimeRange;
  area: Area | undefined;
  onSelect: (area: Area) => void;
}

const HEIGHT = 200;

export default function Heatmap({ q, beat, range, area, onSelect }: HeatmapProps) {
  const step = stepFor(range);
  const load = (signal: AbortSignal) =>
    api.metricsRange({ q: `${q} | histogram_over_time(duration)`, range, step, exemplars: 0 }, signal);
  const { value, error, loading } = useLoad(`${q} ${range.start} ${range.end} ${beat}`, load);
  const cells = useMemo(() => cellsOf(value?.body ?? [], step), [value, step]);
  if (error) return <Empty title={text.explore.heatmapFailed} hint={error.message} />;
  return (
    <div class="plot-box">
      {loading && <Progress label={text.states.loading} />}
      <Partial reason={value?.partial} />
      <Map cells={cells} range={range} area={area} onSelect={onSelect} />
    </div>
  );
}

interface MapProps {
  cells: Cells;
  range: TimeRange;
  area: Area | undefined;
  onSelect: (area: Area) => void;
}

function Map({ cells, range, area, onSelect }: MapProps) {
  const tip = useRef<HTMLDivElement>(null);
  const shown = useRef(cells);
  shown.current = cells;
  const chosen = useRef(onSelect);
  chosen.current = onSelect;
  const { low, high } = cells;
  const options = useMemo<PlotOptions>(() => {
    const pick = (plot: UPlot, x: number, y: number) => {
      const cell = cellAt(plot, shown.current, x, y);
      if (cell) chosen.current(cell.area);
    };
    const { cursor, hooks } = selecting((next) => chosen.current(next), pick);
    return {
      ...timeAndDuration([range.start / 1e3, range.end / 1e3], [low, high]),
      legend: { show: false },
      cursor: { ...cursor, move: (plot, x, y) => hover(plot, shown.current, x, y, tip.current) },
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { ...hooks, draw: [(plot) => draw(plot, shown.current)] },
    };
  }, [range.start, range.end, low, high]);
  const data = useMemo<UPlot.AlignedData>(
    () => [[range.start / 1e3, range.end / 1e3], cells.most > 0 ? [low, high] : [null, null]],
    [cells, range.start, range.end, low, high],
  );
  return (
    <>
      <Plot
        class="heatmap"
        label={text.explore.heatmapLabel}
        height={HEIGHT}
        data={data}
        options={options}
        onReady={(plot) => showSelection(plot, area)}
      />
      <div class="popover plot-tip" ref={tip} hidden />
    </>
  );
}

function draw(plot: UPlot, cells: Cells): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = themeColor('accent');
  for (const { area, count } of cells.list) {
    const x = plot.valToPos(area.start / 1e3, 'x', true);
    const right = plot.valToPos(area.end / 1e3, 'x', true);
    const y = plot.valToPos(area.longest, 'y', true);
    const bottom = plot.valToPos(area.shortest, 'y', true);
    // The eye tells magnitudes apart, not counts.
    ctx.globalAlpha = 0.12 + 0.88 * (Math.log1p(count) / Math.log1p(cells.most));
    ctx.fillRect(x + 0.5, y + 0.5, Math.max(right - x - 1, 1), Math.max(bottom - y - 1, 1));
  }
  ctx.restore();
}

function cellAt(plot: UPlot, cells: Cells, x: number, y: number) {
  const [time, nanos] = [plot.posToVal(x, 'x') * 1e3, plot.posToVal(y, 'y')];
  return cells.list.find(
    ({ area }) => time >= area.start && time < area.end && nanos >= area.shortest && nanos < area.longest,
  );
}

function hover(plot: UPlot, cells: Cells, x: number, y: number, tip: HTMLElement | null): [number, number] {
  const cell = x < 0 ? undefined : cellAt(plot, cells, x, y);
  if (!tip) return [x, y];
  tip.hidden = !cell;
  if (cell) {
    const { area, count } = cell;
    tip.textContent = `${text.explore.spansPerCell(compact(count), duration(area.shortest), duration(area.longest))} · ${clock(area.start).slice(0, 8)}`;
    const left = plot.over.offsetLeft + x;
    const toTheLeft = left > plot.width / 2;
    tip.style.left = toTheLeft ? '' : `${left + 14}px`;
    tip.style.right = toTheLeft ? `${plot.width - left + 14}px` : '';
    tip.style.top = `${plot.over.offsetTop + y - 10}px`;
  }
  return [x, y];
}
