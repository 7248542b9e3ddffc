import { useEffect, useState } from 'preact/hooks';

/** A part of the console that is loaded when it is first needed. Pass a function that stays the same. */
export function useModule<T>(load: (() => Promise<T>) | undefined): T | undefined {
  const [loaded, setLoaded] = useState<{ load: unknown; module: T }>();
  useEffect(() => {
    if (!load) return undefined;
    let wanted = true;
    void load().then((module) => {
      if (wanted) setLoaded({ load, module });
    });
    return () => {
      wanted = false;
    };
  }, [load]);
  return load && loaded?.load === load ? loaded.module : undefined;
}
