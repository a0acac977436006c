import { Check, Minus, OctagonX, Plus } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import { Mark, type Tone } from '../ui/Mark';
import { FindingText } from './ConfigFiles';
import classes from './config.module.css';

type Reload = Schema<'Reload'>;
type Change = Schema<'Change'>;

const results: Record<Reload['result'], { tone: Tone; icon: ReactNode }> = {
  changed: { tone: 'ok', icon: <Check size={13} aria-hidden /> },
  unchanged: { tone: 'idle', icon: <Minus size={13} aria-hidden /> },
  refused: { tone: 'bad', icon: <OctagonX size={13} aria-hidden /> },
};

const signs: Record<Change['change'], ReactNode> = {
  added: <Plus size={14} aria-hidden />,
  changed: <span aria-hidden>~</span>,
  removed: <Minus size={14} aria-hidden />,
};

/** What came of having the configuration read again. */
export function ReloadCard({ reload }: { reload: Reload | undefined }) {
  const { t, f } = useI18n();
  const words = t.config.reload;
  if (!reload) {
    return (
      <Card titleId="reload" title={words.title} className={classes.state}>
        <p className="secondary">{words.never}</p>
      </Card>
    );
  }
  const { tone, icon } = results[reload.result];
  return (
    <Card titleId="reload" title={words.title} className={classes.state}>
      <p>
        <Mark tone={tone} icon={icon}>
          {words.result[reload.result]}
        </Mark>
        <time dateTime={reload.at} className="secondary num">
          {f.here(reload.at)}
        </time>
      </p>
      <ul className={classes.changes}>
        {(reload.changed ?? []).map((change) => (
          <li key={change.pipeline} data-change={change.change}>
            {signs[change.change]}
            <strong className="mono">{change.pipeline}</strong>
            <span>{words.change[change.change]}</span>
            <span className="secondary">
              {(change.stages ?? []).length > 0 ? words.stages((change.stages ?? []).join(', ')) : words.filesOnly}
            </span>
          </li>
        ))}
        {(reload.findings ?? []).map((finding) => (
          <li key={`${finding.file} ${finding.line} ${finding.column} ${finding.code} ${finding.message}`}>
            <code className="mono">{finding.line > 0 ? `${finding.file}:${finding.line}` : finding.file}</code>
            <FindingText finding={finding} />
          </li>
        ))}
      </ul>
    </Card>
  );
}
