import * as api from '../api';
import { duration } from '../format';
import { useLoad } from '../load';
import { spansOf } from '../query';
import { text } from '../text';
import { labelOf, numberOf } from '../values';
import { type Span, type TraceModel, unixMillis } from './model';

const WINDOWS = [
  ['10m', 600e3],
  ['1h', 3600e3],
  ['6h', 6 * 3600e3],
] as const;
const QUANTILES = ['0.5', '0.9', '0.99'];

/** How long a span took against the quantiles of its operation, in windows that end with it. */
export function Compared({ model, span }: { model: TraceModel; span: Span }) {
  const { service, name } = span;
  const end = unixMillis(model, span.start + span.duration) + 1000;
  const q = `${spansOf({ service, operation: name })} | quantile_over_time(duration, .5, .9, .99)`;
  const load = async (signal: AbortSignal) => {
    const ask = ([, length]: (typeof WINDOWS)[number]) => api.metricsInstant(q, { start: end - length, end }, signal);
    return (await Promise.all(WINDOWS.map(ask))).map((answer) => byQuantile(answer.body));
  };
  const { value, error } = useLoad(`${service} ${name} ${Math.round(end / 60e3)}`, load);
  if (error) return null;
  return (
    <section>
      <h3 title={text.trace.comparedHint}>{text.trace.comparedWith}</h3>
      <table class="compared" title={text.trace.comparedHint}>
        <thead>
          <tr>
            <th scope="col">{text.trace.window}</th>
            {QUANTILES.map((quantile) => (
              <th key={quantile} scope="col" class="num">
                p{Number(quantile) * 100}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {WINDOWS.map(([label], at) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {QUANTILES.map((quantile) => (
                <Cell key={quantile} span={span} usual={value?.[at]?.get(quantile)} loaded={value !== undefined} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Nanoseconds by quantile. */
function byQuantile(series: api.Series[]): Map<string, number> {
  return new Map(series.map(({ labels, value }) => [labelOf(labels, 'p') ?? '', numberOf(value) * 1e9]));
}

function Cell({ span, usual, loaded }: { span: Span; usual: number | undefined; loaded: boolean }) {
  if (!usual) return <td class="num muted">{loaded ? text.trace.noHistory : '…'}</td>;
  const ratio = span.duration / usual;
  // Relative, so that fast operations count as much as slow ones.
  const heat = Math.min(1, Math.abs(Math.log2(ratio)) / 3);
  const color = ratio >= 1 ? 'var(--error)' : 'var(--ok)';
  const background = `color-mix(in srgb, ${color} ${Math.round(heat * 32)}%, transparent)`;
  const sign = span.duration >= usual ? '+' : '−';
  return (
    <td class="num" style={{ background }} title={duration(usual)}>
      {sign}
      {duration(Math.abs(span.duration - usual))}
    </td>
  );
}
