import { Textarea } from '@mantine/core';

interface ReasonFieldProps {
  label: string;
  hint: string;
  value: string;
  onChange: (reason: string) => void;
  required?: boolean;
}

/** Asks why something is done, of whoever does it: the first field of its dialog. The API takes as much. */
export function ReasonField({ label, hint, value, onChange, required = false }: ReasonFieldProps) {
  return (
    <Textarea
      label={label}
      description={hint}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      rows={2}
      maxLength={500}
      required={required}
      data-autofocus
    />
  );
}
