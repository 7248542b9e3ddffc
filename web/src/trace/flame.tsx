import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { count, duration } from '../format';
import { isDark } from '../state';
import { text } from '../text';
import { prepare, useWidth } from '../ui/canvas';
import { colorOf } from '../ui/colors';
import { themeColor } from '../ui/theme';
import type { TraceModel } from './model';
import { type Flame, flame } from './sums';

const ROW = 22;
const MAX_ROWS = 60;

interface Box {
  node: Flame;
  x: number;
  y: number;
  width: number;
}

/** Boxes of what is at least a pixel wide. */
function layout(root: Flame, width: number): Box[] {
  const boxes: Box[] = [];
  const queue: Box[] = [{ node: root, x: 0, y: 0, width }];
  for (let box = queue.shift(); box; box = queue.shift()) {
    boxes.push(box);
    let x = box.x;
    if (box.y + 1 >= MAX_ROWS) continue;
    for (const child of box.node.children) {
      const wide = root.total > 0 ? (child.total / root.total) * width : 0;
      if (wide >= 1) queue.push({ node: child, x, y: box.y + 1, width: wide });
      x += wide;
    }
  }
  return boxes;
}

export function FlameGraph({ model, onSelect }: { model: TraceModel; onSelect: (index: number) => void }) {
  const root = useMemo(() => flame(model.spans), [model]);
  const [zoomed, setZoomed] = useState<Flame>();
  const [hover, setHover] = useState<Flame>();
  const [host, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const top = zoomed ?? root;
  const boxes = useMemo(() => layout(top, width), [top, width]);
  const height = (Math.max(...boxes.map((box) => box.y), 0) + 1) * ROW;
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, { width, height, boxes });
  }, [boxes, width, height, dark]);
  const at = (event: MouseEvent) => {
    const { left, top: above } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const [x, y] = [event.clientX - left, Math.floor((event.clientY - above) / ROW)];
    return boxes.find((box) => box.y === y && x >= box.x && x < box.x + box.width)?.node;
  };
  const told = hover ?? top;
  return (
    <div class="flame pad">
      <div class="row wrap small">
        {zoomed && (
          <button type="button" class="button tiny" onClick={() => setZoomed(undefined)}>
            {text.trace.flameRoot}
          </button>
        )}
        {told === root ? (
          <span class="muted">{text.trace.flameHint}</span>
        ) : (
          <span>
            <strong>{told.service}</strong> {told.name} · {count(told.spans)} {text.trace.spans.toLowerCase()} ·{' '}
            {text.trace.self.toLowerCase()} {duration(told.self)} · {text.trace.total.toLowerCase()} {duration(told.total)}
          </span>
        )}
        {zoomed && (
          <button type="button" class="button tiny" onClick={() => onSelect(zoomed.example)}>
            {text.trace.details}
          </button>
        )}
      </div>
      <div ref={host}>
        <canvas
          ref={canvas}
          role="img"
          aria-label={text.trace.flame}
          onMouseMove={(event) => setHover(at(event))}
          onMouseLeave={() => setHover(undefined)}
          onClick={(event) => {
            const node = at(event);
            if (node) setZoomed(node === root ? undefined : node);
          }}
        />
      </div>
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, { width, height, boxes }: { width: number; height: number; boxes: Box[] }): void {
  const context = prepare(canvas, width, height);
  if (!context) return;
  context.font = '11.5px system-ui, sans-serif';
  context.textBaseline = 'middle';
  for (const { node, x, y, width: wide } of boxes) {
    const isRoot = node.service === '' && node.depth === 0;
    context.globalAlpha = isRoot ? 1 : 0.28;
    context.fillStyle = isRoot ? themeColor('sunken') : colorOf(node.service);
    context.fillRect(x, y * ROW, Math.max(wide - 1, 1), ROW - 1);
    context.globalAlpha = 1;
    context.fillStyle = node.errors > 0 ? themeColor('error') : colorOf(node.service);
    if (!isRoot) context.fillRect(x, y * ROW, 3, ROW - 1);
    if (wide < 40) continue;
    context.save();
    context.beginPath();
    context.rect(x, y * ROW, wide - 4, ROW);
    context.clip();
    context.fillStyle = themeColor('text');
    const label = isRoot ? text.trace.flameRoot : `${node.service} ${node.name}`;
    context.fillText(`${label}  ${duration(node.total)}`, x + 8, y * ROW + ROW / 2);
    context.restore();
  }
}
