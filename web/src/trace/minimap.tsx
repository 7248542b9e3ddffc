import { useEffect, useRef, useState } from 'preact/hooks';

import { isDark } from '../state';
import { text } from '../text';
import { prepare, useWidth } from '../ui/canvas';
import { colorOf } from '../ui/colors';
import { themeColor } from '../ui/theme';
import type { TraceModel } from './model';
import type { Window } from './waterfall';

const HEIGHT = 56;

interface MinimapProps {
  model: TraceModel;
  zoom: Window;
  onZoom: (zoom: Window | undefined) => void;
}

/** The whole trace, small; a stretch of it is chosen by dragging. */
export function Minimap({ model, zoom, onZoom }: MinimapProps) {
  const [box, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number }>();
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, width, model);
  }, [model, width, dark]);
  const shareAt = (event: PointerEvent) => {
    const { left, width: wide } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - left) / wide));
  };
  const whole = model.duration || 1;
  const isZoomed = zoom.start > 0 || zoom.end < model.duration;
  const shown = drag
    ? { start: Math.min(drag.from, drag.to), end: Math.max(drag.from, drag.to) }
    : { start: zoom.start / whole, end: zoom.end / whole };
  const finish = () => {
    setDrag(undefined);
    if (drag && shown.end - shown.start > 0.003) onZoom({ start: shown.start * whole, end: shown.end * whole });
  };
  return (
    <div class="minimap" ref={box}>
      <div
        class="minimap-area"
        role="img"
        aria-label={text.trace.minimap}
        title={text.trace.minimap}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          const share = shareAt(event);
          setDrag({ from: share, to: share });
        }}
        onPointerMove={(event) => drag && setDrag({ ...drag, to: shareAt(event) })}
        onPointerUp={finish}
        onPointerCancel={() => setDrag(undefined)}
      >
        <canvas ref={canvas} />
        <span class="shade" style={{ left: 0, width: `${shown.start * 100}%` }} />
        <span class="shade" style={{ right: 0, width: `${(1 - shown.end) * 100}%` }} />
      </div>
      {isZoomed && (
        <button type="button" class="button tiny reset" onClick={() => onZoom(undefined)}>
          {text.trace.resetZoom}
        </button>
      )}
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, width: number, { spans, duration }: TraceModel): void {
  const context = prepare(canvas, width, HEIGHT);
  if (!context) return;
  const whole = duration || 1;
  const height = Math.max(1, Math.min(4, HEIGHT / spans.length - 1));
  const errors = [];
  for (const span of spans) {
    const x = (span.start / whole) * width;
    const y = (span.index / spans.length) * (HEIGHT - height);
    const wide = Math.max(1, (span.duration / whole) * width);
    if (span.error) errors.push([x, y, wide] as const);
    context.globalAlpha = 0.8;
    context.fillStyle = colorOf(span.service);
    context.fillRect(x, y, wide, height);
  }
  context.globalAlpha = 1;
  context.fillStyle = themeColor('error');
  for (const [x, y, wide] of errors) context.fillRect(x, y, wide, Math.max(height, 2));
}
