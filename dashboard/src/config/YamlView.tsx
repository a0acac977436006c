import { useMemo } from 'react';
import { useI18n } from '../i18n/i18n';
import { type Finding, FindingText } from './ConfigFiles';
import classes from './config.module.css';
import { yamlTokens } from './yaml';

interface YamlViewProps {
  text: string;
  findings: readonly Finding[];
  label: string;
}

/** A file with its lines numbered, and each finding below the line that it is about. */
export function YamlView({ text, findings, label }: YamlViewProps) {
  const { t } = useI18n();
  const lines = useMemo(() => text.replace(/\n$/, '').split('\n').map(yamlTokens), [text]);
  const at = (line: number) => findings.filter((finding) => finding.line === line);
  const whole = findings.filter((finding) => finding.line < 1 || finding.line > lines.length);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.yaml} tabIndex={0} aria-label={label} data-testid="yaml">
      {whole.length > 0 && (
        <ul className={classes.whole} aria-label={t.config.whole}>
          {whole.map((finding) => (
            <li key={`${finding.code} ${finding.message}`}>
              <FindingText finding={finding} />
            </li>
          ))}
        </ul>
      )}
      <ol className="mono">
        {lines.map((tokens, i) => {
          const found = at(i + 1);
          return (
            <li
              // biome-ignore lint/suspicious/noArrayIndexKey: the lines of one text never move
              key={i}
              data-tone={found.some((one) => one.severity === 'error') ? 'bad' : found.length > 0 ? 'warn' : undefined}
            >
              <code>
                {tokens.length === 0
                  ? ' '
                  : tokens.map((token, j) => (
                      // biome-ignore lint/suspicious/noArrayIndexKey: nor do the pieces of a line
                      <span key={j} data-kind={token.kind}>
                        {token.text}
                      </span>
                    ))}
              </code>
              {found.map((finding) => (
                <div key={`${finding.column} ${finding.code} ${finding.message}`} className={classes.inPlace}>
                  <FindingText finding={finding} />
                </div>
              ))}
            </li>
          );
        })}
      </ol>
    </section>
  );
}
