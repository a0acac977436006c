import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { RotateCcw } from 'lucide-react';
import { useState } from 'react';
import type { Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { useNow } from '../ui/useNow';
import type { ActionRequest } from './ActionDialog';
import { bodyOf, type LettersSearch } from './filter';
import { groupsQuery } from './queries';
import classes from './queues.module.css';

type Group = Schema<'LetterGroup'>;

interface GroupListProps {
  search: LettersSearch;
  writes: boolean;
  onAct: (what: ActionRequest['action'], request: (what: ActionRequest['action']) => ActionRequest) => void;
}

const few = 5;

/** What is wrong, by stage, reason and carrier: most often a hundred letters have one cause. */
export function GroupList({ search, writes, onAct }: GroupListProps) {
  const { t, f } = useI18n();
  const api = useApi();
  const navigate = useNavigate();
  const now = useNow(30_000);
  const groups = useQuery({ ...groupsQuery(api, search), refetchInterval: useInterval(10_000) });
  const [all, setAll] = useState(false);
  const items = groups.data ?? [];
  if (items.length < 2) return null;
  const narrowed = (g: Group): LettersSearch => ({
    ...search,
    stage: g.stage ?? '',
    reason: g.reason ?? '',
    ...(g.source && { source: g.source }),
  });
  return (
    <section aria-label={t.letters.groups}>
      <ul className={classes.groups}>
        {(all ? items : items.slice(0, few)).map((g) => (
          <li key={`${g.stage} ${g.reason} ${g.source}`}>
            <button
              type="button"
              className={classes.group}
              onClick={() => void navigate({ to: '/dead-letters', search: narrowed(g) })}
            >
              <strong className={`${classes.groupCount} num`}>{f.count(g.count)}</strong>
              <span className={classes.groupWhat}>
                <span>
                  <code className="mono">{g.reason}</code> · {g.stage}
                  {g.source && <> · {g.source}</>}
                </span>
                <span className={classes.groupWhy} lang="en" title={g.example}>
                  {g.example}
                </span>
              </span>
              <span className={`${classes.groupWhen} secondary`}>{f.ago(now - Date.parse(g.newest))}</span>
            </button>
            {writes && (
              <Button
                size="compact-sm"
                variant="subtle"
                leftSection={<RotateCcw size={14} aria-hidden />}
                onClick={() =>
                  onAct('redrive', (action) => ({
                    action,
                    filter: bodyOf(narrowed(g)),
                    count: g.count,
                    search: narrowed(g),
                  }))
                }
              >
                {t.letters.redrive}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {items.length > few && (
        <Button size="compact-sm" variant="subtle" onClick={() => setAll(!all)}>
          {all ? t.letters.fewerGroups : t.letters.moreGroups(items.length - few)}
        </Button>
      )}
    </section>
  );
}
