import { Button, Checkbox, Popover } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { ChevronDown, X } from 'lucide-react';
import { useState } from 'react';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { type Facet, type LettersSearch, listOf, type State, toggled } from './filter';
import { facetQuery } from './queries';
import classes from './queues.module.css';

const shown: readonly Facet[] = ['state', 'stage', 'reason', 'source', 'eventType'];

/** What the list can be narrowed down by, with how many there are of each; it all stands in the address. */
export function FacetBar({ search }: { search: LettersSearch }) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const set = (next: LettersSearch) => void navigate({ to: '/dead-letters', search: next });
  const chosen = shown.flatMap((facet) => listOf(search[facet]).map((value) => ({ facet, value })));
  return (
    <div className={classes.facets}>
      {shown.map((facet) => (
        <FacetMenu key={facet} facet={facet} search={search} onToggle={(value) => set(toggled(search, facet, value))} />
      ))}
      {chosen.map(({ facet, value }) => (
        <Button
          key={`${facet} ${value}`}
          size="compact-sm"
          variant="light"
          rightSection={<X size={12} aria-hidden />}
          onClick={() => set(toggled(search, facet, value))}
          aria-label={t.letters.without(facetValue(facet, value, t.letters.states))}
        >
          {facetValue(facet, value, t.letters.states)}
        </Button>
      ))}
      {search.correlationId && (
        <Button
          size="compact-sm"
          variant="light"
          rightSection={<X size={12} aria-hidden />}
          onClick={() => set({ ...search, correlationId: undefined })}
          aria-label={t.letters.without(search.correlationId)}
        >
          {search.correlationId}
        </Button>
      )}
    </div>
  );
}

const facetValue = (facet: Facet, value: string, states: Readonly<Record<State, string>>): string =>
  facet === 'state' ? (states[value as State] ?? value) : value;

function FacetMenu({
  facet,
  search,
  onToggle,
}: {
  facet: Facet;
  search: LettersSearch;
  onToggle: (value: string) => void;
}) {
  const { t, f } = useI18n();
  const api = useApi();
  const [opened, setOpened] = useState(false);
  const counts = useQuery({ ...facetQuery(api, search, facet), enabled: opened });
  const chosen = listOf(search[facet]);
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      position="bottom-start"
      shadow="md"
      trapFocus
      returnFocus
      withinPortal
    >
      <Popover.Target>
        <Button
          size="xs"
          variant="default"
          rightSection={<ChevronDown size={13} aria-hidden />}
          onClick={() => setOpened(!opened)}
          aria-expanded={opened}
        >
          {t.letters.facets[facet]}
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.facetList} aria-label={t.letters.facets[facet]}>
        {counts.data?.length === 0 && <p className="secondary">{t.letters.noValues}</p>}
        {(counts.data ?? []).map(({ value, count }) => (
          <Checkbox
            key={value}
            size="xs"
            checked={chosen.includes(value)}
            onChange={() => onToggle(value)}
            label={
              <span className={classes.facetLabel}>
                <span>{facetValue(facet, value, t.letters.states) || t.letters.noValue}</span>
                <span className="num secondary">{f.count(count)}</span>
              </span>
            }
          />
        ))}
      </Popover.Dropdown>
    </Popover>
  );
}
