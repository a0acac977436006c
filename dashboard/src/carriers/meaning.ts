import type { Schema } from '../api/typed';
import type { Catalog } from '../i18n/es';

/** What a code means. */
export interface Meaning {
  milestone?: string;
  exception?: string;
}

/** Stands for what is proposed, among what can be chosen. */
export const proposed = 'proposed';

/** The word for a name of the API, or the name where there is none. */
const wordOf = (words: Readonly<Record<string, string>>, name: string): string => words[name] ?? name;

interface Choice {
  value: string;
  label: string;
  meaning: Meaning;
}

/** What a code can be said to mean: what is proposed first, then every milestone in the order of a journey, and nothing. */
export function meanings({ proposal }: Schema<'UnmappedCode'>, t: Catalog): Choice[] {
  const { unknown: _, ...milestones } = t.trace.milestone;
  const choices: Choice[] = Object.entries(milestones).map(([milestone, label]) => ({
    value: milestone,
    label: `${label} · ${milestone}`,
    meaning: { milestone },
  }));
  choices.push({ value: 'none', label: t.carriers.inbox.none, meaning: { milestone: 'none' } });
  if (!proposal) return choices;
  const { milestone, exception } = proposal;
  const label = [
    milestone && (milestone === 'none' ? t.carriers.inbox.none : wordOf(t.trace.milestone, milestone)),
    exception && wordOf(t.trace.exception, exception),
  ];
  const first = {
    value: proposed,
    label: t.carriers.inbox.asProposed(label.filter(Boolean).join(', ')),
    meaning: { ...(milestone && { milestone }), ...(exception && { exception }) },
  };
  return [first, ...choices.filter((choice) => exception || choice.value !== milestone)];
}

/** The line for the carrier's table of codes. */
export function lineOf(code: Pick<Schema<'UnmappedCode'>, 'key'>, { milestone, exception }: Meaning): string {
  if (!exception) return `${code.key}: ${milestone}`;
  return `${code.key}: {${milestone ? `milestone: ${milestone}, ` : ''}exception: ${exception}}`;
}
