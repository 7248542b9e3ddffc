import { useMemo } from 'preact/hooks';

import { type TraceAnswer, traceAddress } from '../api';
import { bytes } from '../format';
import { text } from '../text';

/** More than this makes pages slow. */
const SHOWN = 200_000;

export function Json({ id, answer }: { id: string; answer: TraceAnswer }) {
  const all = useMemo(() => JSON.stringify(answer.trace, null, 2), [answer]);
  return (
    <div class="pad">
      {all.length > SHOWN && (
        <p class="small muted">
          {text.trace.jsonLarge(bytes(all.length))} <a href={traceAddress(id)}>{text.trace.download}</a>
        </p>
      )}
      <pre class="json" tabIndex={0} aria-label={text.trace.json}>
        {all.slice(0, SHOWN)}
      </pre>
    </div>
  );
}
