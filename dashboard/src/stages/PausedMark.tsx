import { Pause } from 'lucide-react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Mark } from '../ui/Mark';

/** Who paused it, for people. */
export const whoPaused = (pause: Schema<'Pause'>): string => pause.paused_by_name || pause.paused_by;

/** Says that something stands still because somebody wants it so. */
export function PausedMark({ pause }: { pause: Schema<'Pause'> }) {
  const { t } = useI18n();
  return (
    <Mark
      tone="idle"
      icon={<Pause size={12} aria-hidden />}
      title={`${t.stages.paused.banner(whoPaused(pause))}: ${pause.reason}`}
    >
      {t.health.paused}
    </Mark>
  );
}
