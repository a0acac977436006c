import { Button, SegmentedControl } from '@mantine/core';
import { History } from 'lucide-react';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import type { TraceEvent } from '../api/types';
import { useI18n } from '../i18n/i18n';
import { type Clock, moments, type Past, stepAt } from './moments';
import classes from './timemachine.module.css';

interface TimeMachineProps {
  /** All events, also those that the past does not know. */
  events: readonly TraceEvent[];
  past: Past | undefined;
  onChange: (past: Past | undefined) => void;
}

/** How long the slider rests before the trace is asked for. */
const settle = 180;

/** A slider over the moments of a trace: what had happened by then, or what was known by then. */
export function TimeMachine({ events, past, onChange }: TimeMachineProps) {
  const { t, f } = useI18n();
  const id = useId();
  const [chosen, setChosen] = useState<Clock>('asOf');
  const clock = past?.clock ?? chosen;
  const all = useMemo(() => moments(events, clock), [events, clock]);
  const settled = past ? Math.max(1, stepAt(all, past.at)) : all.length;
  const [step, setStep] = useState(settled);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setStep(settled), [settled]);
  useEffect(() => () => clearTimeout(timer.current), []);

  if (all.length < 2) return null;
  const atStep = (n: number): Past | undefined => {
    const at = all[n - 1];
    return n >= all.length || !at ? undefined : { clock, at };
  };
  const slide = (n: number) => {
    setStep(n);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(atStep(n)), settle);
  };
  const turn = (next: Clock) => {
    setChosen(next);
    const at = past && moments(events, next)[Math.max(0, stepAt(moments(events, next), past.at) - 1)];
    onChange(at ? { clock: next, at } : undefined);
  };

  const moment = atStep(step)?.at;
  const said = moment ? f.here(moment) : t.journey.past.now;
  return (
    <section className={classes.bar} aria-label={t.journey.past.title} data-past={moment ? true : undefined}>
      <label htmlFor={id} className={classes.title}>
        <History size={15} aria-hidden />
        {t.journey.past.title}
      </label>
      <SegmentedControl
        size="xs"
        aria-label={t.journey.past.clock}
        value={clock}
        onChange={(value) => turn(value as Clock)}
        data={[
          { value: 'asOf', label: t.journey.past.asOf },
          { value: 'knownAt', label: t.journey.past.knownAt },
        ]}
      />
      <input
        id={id}
        type="range"
        className={classes.slider}
        min={1}
        max={all.length}
        step={1}
        value={Math.min(step, all.length)}
        aria-valuetext={`${said}, ${t.journey.past.step(f.count(step), f.count(all.length))}`}
        onChange={(change) => slide(Number(change.currentTarget.value))}
      />
      <output htmlFor={id} className={`${classes.said} num`}>
        {said}
        <span className="secondary">
          {t.journey.past.step(f.count(Math.min(step, all.length)), f.count(all.length))}
        </span>
      </output>
      <Button size="xs" variant="default" className={classes.back} disabled={!past} onClick={() => onChange(undefined)}>
        {t.journey.past.back}
      </Button>
    </section>
  );
}
