import type UPlot from 'uplot';

import type { Area } from './area';

/** Options with which an area is selected by dragging, and a single point by a click. */
export function selecting(onSelect: (area: Area) => void, onClick: (plot: UPlot, x: number, y: number) => void) {
  let began: { x: number; y: number } | undefined;
  const ready = (plot: UPlot) => {
    plot.over.addEventListener('mousedown', (event) => {
      began = { x: event.clientX, y: event.clientY };
    });
    plot.over.addEventListener('click', (event) => {
      const isClick = began && Math.hypot(event.clientX - began.x, event.clientY - began.y) < 4;
      if (!isClick) return;
      const box = plot.over.getBoundingClientRect();
      onClick(plot, event.clientX - box.left, event.clientY - box.top);
    });
  };
  const selected = (plot: UPlot) => {
    const { left, top, width, height } = plot.select;
    if (width < 4 && height < 4) return;
    const time = (x: number) => plot.posToVal(x, 'x') * 1e3;
    const nanos = (y: number) => plot.posToVal(y, 'y');
    onSelect({ start: time(left), end: time(left + width), shortest: nanos(top + height), longest: nanos(top) });
  };
  return {
    cursor: {
      drag: { x: true, y: true, setScale: false, dist: 4 },
      points: { show: false },
    } satisfies UPlot.Cursor,
    hooks: { ready: [ready], setSelect: [selected] },
  };
}

/** Shows what is selected, or that nothing is. */
export function showSelection(plot: UPlot, area: Area | undefined): void {
  const none = { left: 0, top: 0, width: 0, height: 0 };
  if (!area) {
    plot.setSelect(none, false);
    return;
  }
  const { width, height } = plot.over.getBoundingClientRect();
  const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  const x = (millis: number) => within(plot.valToPos(millis / 1e3, 'x'), width);
  const y = (nanos: number) => within(plot.valToPos(Math.max(nanos, 1), 'y'), height);
  const [left, top] = [x(area.start), y(area.longest)];
  plot.setSelect({ left, top, width: x(area.end) - left, height: y(area.shortest) - top }, false);
}
