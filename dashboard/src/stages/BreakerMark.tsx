import { CircleCheck, CircleDashed, CircleDot, CircleSlash } from 'lucide-react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Mark, type Tone } from '../ui/Mark';

type Breaker = Schema<'Stage'>['breaker'];

const tones: Readonly<Record<Breaker, Tone>> = { closed: 'ok', 'half-open': 'warn', open: 'bad', unknown: 'idle' };
const icons = { closed: CircleCheck, 'half-open': CircleDot, open: CircleSlash, unknown: CircleDashed };

/** Whether a stage still calls what it needs, or has been cut off from it since it fails. */
export function BreakerMark({ state }: { state: Breaker }) {
  const { t } = useI18n();
  const Icon = icons[state];
  return (
    <Mark tone={tones[state]} icon={<Icon size={13} aria-hidden />} title={t.stages.breakerExplained[state]}>
      {t.stages.breakers[state]}
    </Mark>
  );
}
