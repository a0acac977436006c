import type { Kind, Milestone } from '../api/types';
import { lookup, useI18n } from '../i18n/i18n';
import { Mark, type Tone } from '../ui/Mark';
import { ExceptionIcon, MilestoneIcon } from './icons';

const tones: Partial<Record<Milestone, Tone>> = {
  delivered: 'ok',
  available: 'ok',
  lost: 'bad',
  destroyed: 'bad',
  returned: 'warn',
  cancelled: 'idle',
  expired: 'idle',
  unknown: 'idle',
  announced: 'idle',
};

/** How good the news of a status is. */
export const toneOf = (status: Milestone): Tone => tones[status] ?? 'move';

interface StatusMarkProps {
  status: Milestone;
  kind?: Kind;
  large?: boolean;
}

export function StatusMark({ status, kind, large = false }: StatusMarkProps) {
  const { t } = useI18n();
  return (
    <Mark
      tone={toneOf(status)}
      large={large}
      icon={<MilestoneIcon milestone={status} kind={kind} size={large ? 17 : 13} />}
      title={status}
    >
      {lookup(t.trace.milestone, status) ?? status}
    </Mark>
  );
}

/** Whether the exception of an event ends trouble: all that was open, or ("cleared:missing") what it names. */
const isCleared = (code: string) => code === 'cleared' || code.startsWith('cleared:');
/** Trouble that slows a thing down, as against trouble that somebody must see to. */
const slow = [
  'changed',
  'customs',
  'delayed',
  'diverted',
  'go_show',
  'rebooked',
  'rerouted',
  'returning',
  'screening_unclear',
  'standby',
];

export const exceptionTone = (code: string): Tone => (isCleared(code) ? 'ok' : slow.includes(code) ? 'warn' : 'bad');

const exceptionText = (code: string, names: Parameters<typeof lookup>[0]) => {
  const [first = code, trouble] = code.split(':');
  const text = lookup(names, first) ?? first;
  return trouble === undefined ? text : `${text}: ${lookup(names, trouble) ?? trouble}`;
};

/** Trouble that an event reports, or that is open. A code without translation is shown as it is. */
export function ExceptionMark({ code, large = false }: { code: string; large?: boolean }) {
  const { t } = useI18n();
  const good = isCleared(code);
  return (
    <Mark
      tone={exceptionTone(code)}
      large={large}
      icon={good ? <CircleDone large={large} /> : <ExceptionIcon size={large ? 17 : 13} />}
      title={`${t.trace.exceptionLabel}: ${code}`}
    >
      {exceptionText(code, t.trace.exception)}
    </Mark>
  );
}

const CircleDone = ({ large }: { large: boolean }) => <MilestoneIcon milestone="delivered" size={large ? 17 : 13} />;
