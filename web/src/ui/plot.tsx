import 'uplot/dist/uPlot.min.css';

import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';

import { isDark } from '../state';
import { themeColor } from './theme';
import { useWidth } from './canvas';

export type PlotOptions = Omit<UPlot.Options, 'width' | 'height'>;

interface PlotProps {
  label: string;
  height: number;
  data: UPlot.AlignedData;
  options: PlotOptions;
  /** After each drawing of new data or of a new size. */
  onReady?: (plot: UPlot) => void;
  class?: string;
}

/** A uPlot chart as wide as there is room; made anew when its options or the theme change. */
export function Plot({ label, height, data, options, onReady, class: name }: PlotProps) {
  const [host, width] = useWidth<HTMLDivElement>();
  const plot = useRef<UPlot | undefined>(undefined);
  const ready = useRef(onReady);
  ready.current = onReady;
  const dark = isDark.value;
  const wide = width > 0;
  useEffect(() => {
    if (!host.current || !wide) return undefined;
    const made = new UPlot({ ...options, width: host.current.clientWidth, height }, data, host.current);
    plot.current = made;
    ready.current?.(made);
    return () => {
      made.destroy();
      plot.current = undefined;
    };
    // Data alone is set below, without making the chart anew.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [options, height, dark, wide]);
  useEffect(() => {
    const made = plot.current;
    if (!made || !width) return;
    if (made.width !== width) made.setSize({ width, height });
    if (made.data !== data) made.setData(data);
    ready.current?.(made);
  }, [data, width, height]);
  return <div class={`plot ${name ?? ''}`} ref={host} role="img" aria-label={label} style={{ minHeight: `${height}px` }} />;
}

/** An axis in the theme's colours. */
export function axis(extra: UPlot.Axis): UPlot.Axis {
  const line = themeColor('line');
  return {
    stroke: themeColor('muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
    gap: 4,
    ...extra,
  };
}
