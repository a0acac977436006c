import { type MantineColorScheme, TextInput, useMantineColorScheme } from '@mantine/core';
import { type ReactNode, useId, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import { type Language, languages } from '../i18n/language';
import { browserTimeZone, isTimeZone, timeZones } from '../i18n/timezone';
import { Card } from '../ui/Card';
import { useNow } from '../ui/useNow';
import classes from './config.module.css';

const names: Record<Language, string> = { es: 'Español', en: 'English' };
const schemes: readonly MantineColorScheme[] = ['auto', 'light', 'dark'];

/** How whoever looks likes to see everything, in this browser. */
export function PreferencesPanel() {
  const { t, language, setLanguage } = useI18n();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const words = t.config.preferences;
  return (
    <Card titleId="preferences" title={words.title} note={words.note}>
      <div className={classes.preferences}>
        <Choices
          legend={words.language}
          value={language}
          choices={languages.map((value) => ({ value, label: <span lang={value}>{names[value]}</span> }))}
          onChange={setLanguage}
        />
        <Choices
          legend={words.theme}
          value={colorScheme}
          choices={schemes.map((value) => ({ value, label: words.themes[value] }))}
          onChange={setColorScheme}
        />
        <TimeZoneChoice />
      </div>
    </Card>
  );
}

interface ChoicesProps<T extends string> {
  legend: string;
  value: T;
  choices: readonly { value: T; label: ReactNode }[];
  onChange: (value: T) => void;
  children?: ReactNode;
}

function Choices<T extends string>({ legend, value, choices, onChange, children }: ChoicesProps<T>) {
  const id = useId();
  return (
    <fieldset className={classes.choices}>
      <legend>{legend}</legend>
      {choices.map((choice) => (
        <label key={choice.value} htmlFor={`${id}-${choice.value}`} className={classes.check}>
          <input
            id={`${id}-${choice.value}`}
            type="radio"
            name={id}
            checked={value === choice.value}
            onChange={() => onChange(choice.value)}
          />
          {choice.label}
        </label>
      ))}
      {children}
    </fieldset>
  );
}

type Zone = 'browser' | 'utc' | 'other';

function TimeZoneChoice() {
  const { t, f, timeZone, setTimeZone } = useI18n();
  const words = t.config.preferences;
  const now = useNow(1_000);
  const listId = useId();
  const [chosen, setChosen] = useState<Zone>(timeZone === undefined ? 'browser' : timeZone === 'UTC' ? 'utc' : 'other');
  const [typed, setTyped] = useState(timeZone && timeZone !== 'UTC' ? timeZone : '');
  const wrong = chosen === 'other' && typed !== '' && !isTimeZone(typed);
  const choose = (zone: Zone) => {
    setChosen(zone);
    if (zone !== 'other') setTimeZone(zone === 'utc' ? 'UTC' : undefined);
    else if (isTimeZone(typed)) setTimeZone(typed);
  };
  return (
    <Choices
      legend={words.timeZone}
      value={chosen}
      choices={[
        { value: 'browser', label: words.zones.browser(browserTimeZone()) },
        { value: 'utc', label: words.zones.utc },
        { value: 'other', label: words.zones.other },
      ]}
      onChange={choose}
    >
      {chosen === 'other' && (
        <>
          <TextInput
            size="sm"
            className={classes.zone}
            label={words.zoneName}
            placeholder="America/Lima"
            list={listId}
            value={typed}
            autoComplete="off"
            spellCheck={false}
            error={wrong ? words.zoneUnknown : undefined}
            onChange={(change) => {
              const name = change.currentTarget.value.trim();
              setTyped(name);
              if (isTimeZone(name)) setTimeZone(name);
            }}
          />
          <datalist id={listId}>
            {timeZones().map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </>
      )}
      <p className="num">{words.now(f.here(new Date(now).toISOString()))}</p>
      <p className="secondary">{words.zoneHint}</p>
    </Choices>
  );
}
