import { useEffect, useRef, useState } from 'preact/hooks';

/** Something that is asked for: what came last stays visible while more is coming. */
export interface Loaded<T> {
  value: T | undefined;
  error: Error | undefined;
  loading: boolean;
}

/** Asks again when `key` changes, and lets go of what was asked before. A key of `undefined` asks nothing. */
export function useLoad<T>(key: string | undefined, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ value: undefined, error: undefined, loading: key !== undefined });
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    if (key === undefined) {
      setState({ value: undefined, error: undefined, loading: false });
      return undefined;
    }
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    latest.current(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) setState({ value, error: undefined, loading: false });
      },
      (reason: unknown) => {
        if (abort.signal.aborted) return;
        const error = reason instanceof Error ? reason : new Error(String(reason));
        setState({ value: undefined, error, loading: false });
      },
    );
    return () => abort.abort();
  }, [key]);
  return state;
}
