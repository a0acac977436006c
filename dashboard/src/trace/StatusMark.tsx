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

/** Trouble that an event reports, or that is open. A code without translation is shown as it is. */
export function ExceptionMark({ code, large = false }: { code: string; large?: boolean }) {
  const { t } = useI18n();
  const good = code === 'cleared' || code === 'found';
  return (
    <Mark
      tone={good ? 'ok' : 'bad'}
      large={large}
      icon={good ? <CircleDone large={large} /> : <ExceptionIcon size={large ? 17 : 13} />}
      title={`${t.trace.exceptionLabel}: ${code}`}
    >
      {lookup(t.trace.exception, code) ?? code}
    </Mark>
  );
}

const CircleDone = ({ large }: { large: boolean }) => <MilestoneIcon milestone="delivered" size={large ? 17 : 13} />;
