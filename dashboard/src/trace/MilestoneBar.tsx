import { Check } from 'lucide-react';
import { useMemo } from 'react';
import type { Trace } from '../api/types';
import { wallTime, wallTimeAt } from '../i18n/format';
import { useI18n } from '../i18n/i18n';
import { isTerminal } from './chronology';
import { MilestoneIcon } from './icons';
import { type Step, steps } from './milestones';
import classes from './milestones.module.css';
import { toneOf } from './StatusMark';

/** How far the journey has come, from its first milestone to its last. */
export function MilestoneBar({ trace }: { trace: Trace }) {
  const { t } = useI18n();
  const list = useMemo(() => steps(trace), [trace]);
  const at = list.findIndex((s) => s.state === 'current');
  const current = list[at];
  const next = list.slice(at + 1).find((s) => s.state !== 'reached');
  return (
    <>
      <ol className={classes.bar} aria-label={t.trace.milestones}>
        {list.map((step, i) => (
          <StepItem
            key={step.milestone}
            step={step}
            trace={trace}
            // The line from a step leads on only once a later one has been reached.
            leadsOn={list.slice(i + 1).some((s) => s.state === 'reached' || s.state === 'current')}
          />
        ))}
      </ol>
      {/* Where there is no room for words below the dots; a reader has them in the list. */}
      <p className={classes.summary} aria-hidden>
        {current && <strong>{t.trace.milestone[current.milestone]}</strong>}
        {next && !isTerminal(trace.status) && <span>{t.trace.nextStep(t.trace.milestone[next.milestone])}</span>}
      </p>
    </>
  );
}

function StepItem({ step, trace, leadsOn }: { step: Step; trace: Trace; leadsOn: boolean }) {
  const { t, f } = useI18n();
  const at = step.event ? wallTime(step.event.timestamp) : step.firstAt ? wallTimeAt(step.firstAt, 0) : undefined;
  const total = trace.pieces?.total ?? 0;
  const partial = step.pieces !== undefined && total > 1 && step.pieces < total;
  return (
    <li
      className={classes.step}
      data-state={step.state}
      data-tone={step.state === 'current' ? toneOf(step.milestone) : undefined}
      data-leads={leadsOn || undefined}
      aria-current={step.state === 'current' ? 'step' : undefined}
    >
      <span className={classes.dot}>
        {step.state === 'current' ? (
          <MilestoneIcon milestone={step.milestone} kind={trace.kind} size={15} />
        ) : step.state === 'reached' || step.state === 'beyond' ? (
          <Check size={14} aria-hidden />
        ) : null}
      </span>
      <span className={classes.text}>
        <span className={classes.label}>{t.trace.milestone[step.milestone]}</span>
        <span className={classes.srOnly}>{t.trace.step[step.state]}</span>
        <span className={`${classes.when} num`}>
          {at ? (
            <time dateTime={step.firstAt} title={`${f.day(at.date)}, ${at.time} ${f.zone(at.offset)}`}>
              {f.dayShort(at.date)}, {at.time.slice(0, 5)}
            </time>
          ) : step.state === 'skipped' ? (
            t.trace.step.skipped
          ) : null}
        </span>
        {partial && (
          <span className={`${classes.pieces} num`}>{t.trace.piecesOf(f.count(step.pieces ?? 0), f.count(total))}</span>
        )}
      </span>
    </li>
  );
}
