import { useId } from 'react';
import { FilterButton } from './FilterButton';
import classes from './filters.module.css';
import { useValuesText } from './valuesText';

interface ChoiceFilterProps {
  label: string;
  choices: readonly { value: string; label: string }[];
  values: readonly string[];
  onChange: (values: string[]) => void;
}

/** A filter whose values are known: any of those that are ticked. */
export function ChoiceFilter({ label, choices, values, onChange }: ChoiceFilterProps) {
  const id = useId();
  const text = useValuesText(values.map((value) => choices.find((c) => c.value === value)?.label ?? value));
  const toggle = (value: string, on: boolean) =>
    onChange(on ? [...values, value] : values.filter((other) => other !== value));
  return (
    <FilterButton label={label} value={text} onClear={() => onChange([])}>
      <fieldset className={classes.choices}>
        <legend className={classes.legend}>{label}</legend>
        {choices.map((choice) => (
          <label key={choice.value} htmlFor={`${id}-${choice.value}`} className={classes.choice}>
            <input
              id={`${id}-${choice.value}`}
              type="checkbox"
              checked={values.includes(choice.value)}
              onChange={(change) => toggle(choice.value, change.currentTarget.checked)}
            />
            {choice.label}
          </label>
        ))}
      </fieldset>
    </FilterButton>
  );
}
