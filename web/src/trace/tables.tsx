import { useMemo, useState } from 'preact/hooks';

import { count, duration, percent } from '../format';
import { address } from '../router';
import { text } from '../text';
import { Dot, Link, Segments } from '../ui/basics';
import type { TraceModel } from './model';
import { sums } from './sums';

const SHOWN = 500;

/** Services or operations with what they took themselves. */
export function Sums({ model, onFind }: { model: TraceModel; onFind: (needle: string) => void }) {
  const [by, setBy] = useState<'service' | 'operation'>('operation');
  const rows = useMemo(() => sums(model.spans, by), [model, by]);
  const all = rows.reduce((total, row) => total + row.self, 0) || 1;
  const words = text.trace;
  return (
    <>
      <div class="row pad">
        <Segments
          label={words.table}
          value={by}
          options={[
            ['operation', words.byOperation],
            ['service', words.byService],
          ]}
          onChoose={setBy}
        />
      </div>
      <div class="scroll-x">
        <table>
          <thead>
            <tr>
              <th scope="col">{by === 'service' ? words.service : words.operation}</th>
              {[words.count, words.errors, words.total, words.average, words.longest, words.self, words.share].map((name) => (
                <th key={name} scope="col" class="num">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map((row) => (
              <tr key={row.key}>
                <td>
                  <Dot service={row.service} /> <Link to={address(['service', row.service])}>{row.service}</Link>{' '}
                  {by === 'operation' && (
                    <button type="button" class="link" onClick={() => onFind(row.name)}>
                      {row.name}
                    </button>
                  )}
                </td>
                <td class="num">{count(row.spans)}</td>
                <td class="num">{row.errors > 0 ? <span class="tag error">{count(row.errors)}</span> : ''}</td>
                <td class="num">{duration(row.total)}</td>
                <td class="num">{duration(row.total / row.spans)}</td>
                <td class="num">{duration(row.longest)}</td>
                <td class="num">{duration(row.self)}</td>
                <td class="num">{percent(row.self / all)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
