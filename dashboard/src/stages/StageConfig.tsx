import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import { CopyButton } from '../ui/CopyButton';
import classes from './stages.module.css';

/** The configuration of a stage as it takes effect, and what each of its keys means. */
export function StageConfig({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t } = useI18n();
  const fields = stage.fields ?? [];
  return (
    <div className={classes.config}>
      <Card
        titleId="effective"
        title={t.stages.effective}
        note={t.stages.version(stage.version)}
        actions={<CopyButton value={stage.config} label={t.stages.copyConfig} />}
      >
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard */}
        <section className={classes.yaml} tabIndex={0} aria-label={t.stages.effective}>
          <pre className="mono">{stage.config.trim() === '{}' ? t.stages.noConfig : stage.config}</pre>
        </section>
        <dl className={classes.wiring}>
          <div>
            <dt>{t.stages.kind}</dt>
            <dd>
              <code className="mono">{stage.use}</code>
            </dd>
          </div>
          <div>
            <dt>{t.stages.hop}</dt>
            <dd>
              <code className="mono">{stage.hop}</code>
            </dd>
          </div>
          <div>
            <dt>{t.stages.reads}</dt>
            <dd>
              <code className="mono">{stage.topic}</code>
            </dd>
          </div>
          <div>
            <dt>{t.stages.writes}</dt>
            <dd>
              <code className="mono">{(stage.to ?? []).join(', ') || t.time.unknown}</code>
            </dd>
          </div>
        </dl>
      </Card>
      <Card titleId="keys" title={t.stages.keys}>
        {fields.length === 0 ? (
          <p className="secondary">{t.stages.noKeys}</p>
        ) : (
          <dl className={classes.keys}>
            {fields.map((field) => (
              <div key={field.path}>
                <dt>
                  <code className="mono">{field.path}</code> <span className="secondary">{field.type}</span>
                </dt>
                <dd lang="en">
                  {field.doc}
                  {field.default && (
                    <>
                      {' '}
                      <span className="secondary">
                        {t.stages.default} <code className="mono">{field.secret ? '•••' : field.default}</code>
                      </span>
                    </>
                  )}
                </dd>
              </div>
            ))}
          </dl>
        )}
      </Card>
    </div>
  );
}
