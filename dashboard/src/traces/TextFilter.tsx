import { Button, TextInput } from '@mantine/core';
import { X } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import { FilterButton } from './FilterButton';
import classes from './filters.module.css';
import { useValuesText } from './valuesText';

interface TextFilterProps {
  label: string;
  example: string;
  values: readonly string[];
  onChange: (values: string[]) => void;
  /** What it may well be. */
  suggestions?: readonly string[];
}

/** A filter whose values anybody may name: any of those that were added. */
export function TextFilter({ label, example, values, onChange, suggestions = [] }: TextFilterProps) {
  const { t } = useI18n();
  const listId = useId();
  const [typed, setTyped] = useState('');
  const text = useValuesText(values);
  const add = (value: string) => {
    const trimmed = value.trim();
    if (trimmed && !values.includes(trimmed)) onChange([...values, trimmed]);
    setTyped('');
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add(typed);
  };
  return (
    <FilterButton label={label} value={text} onClear={() => onChange([])}>
      <form onSubmit={submit} className={classes.adding}>
        <TextInput
          size="xs"
          label={label}
          placeholder={example}
          value={typed}
          maxLength={256}
          list={listId}
          autoComplete="off"
          spellCheck={false}
          onChange={(change) => setTyped(change.currentTarget.value)}
          className={classes.text}
        />
        <datalist id={listId}>
          {suggestions.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        <Button type="submit" size="xs" variant="default" disabled={typed.trim() === ''}>
          {t.finder.add}
        </Button>
      </form>
      {values.length > 0 && (
        <ul className={classes.values}>
          {values.map((value) => (
            <li key={value}>
              <span className="mono">{value}</span>
              <button
                type="button"
                aria-label={t.finder.remove(label, value)}
                onClick={() => onChange(values.filter((other) => other !== value))}
              >
                <X size={13} aria-hidden />
              </button>
            </li>
          ))}
        </ul>
      )}
    </FilterButton>
  );
}
