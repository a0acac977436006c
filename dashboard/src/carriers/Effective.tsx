import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import classes from './effective.module.css';
import { nameOf, type Of, wordsOf } from './settings';

interface EffectiveProps {
  settings: readonly Schema<'Setting'>[];
  of: Of;
  label: string;
}

/** Settings as they take effect, each with where it comes from. */
export function Effective({ settings, of, label }: EffectiveProps) {
  const { t, f } = useI18n();
  const words = t.carriers.settings;
  return (
    <table className={classes.effective} aria-label={label}>
      <thead>
        <tr>
          <th scope="col">{words.setting}</th>
          <th scope="col">{words.value}</th>
          <th scope="col">{words.from}</th>
        </tr>
      </thead>
      <tbody>
        {settings.map(({ key, value, from }) => {
          const name = nameOf(key, of, t);
          const shown = wordsOf(key, value, of, t, f);
          return (
            <tr key={key}>
              <th scope="row">
                {name ?? <code className="mono">{key}</code>}
                {name && <code className={`mono ${classes.key}`}>{key}</code>}
              </th>
              <td className="num">
                {'list' in shown ? (
                  <ul className={classes.values}>
                    {shown.list.map((one) => (
                      <li key={one} className="mono">
                        {one}
                      </li>
                    ))}
                  </ul>
                ) : (
                  shown.text
                )}
              </td>
              <td>
                <span className={classes.from} data-from={from} title={words.fromHint[from] ?? undefined}>
                  {words.fromName[from] ?? from}
                </span>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
