import { Skeleton } from '@mantine/core';
import { queryOptions, useQuery } from '@tanstack/react-query';
import { CircleCheck, FileCode2, OctagonX, TriangleAlert } from 'lucide-react';
import { type Api, answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Card } from '../ui/Card';
import { CopyButton } from '../ui/CopyButton';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark } from '../ui/Mark';
import classes from './config.module.css';
import { ReloadCard } from './ReloadCard';
import { YamlView } from './YamlView';

type ConfigFile = Schema<'ConfigFile'>;
export type Finding = Schema<'FindingOut'>;

export const configQuery = (api: Api) =>
  queryOptions({
    queryKey: ['config'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/config', { signal })),
  });

const errorsOf = (findings: readonly Finding[] | null): number =>
  (findings ?? []).filter((finding) => finding.severity === 'error').length;

interface ConfigFilesProps {
  /** The file on show; the first one that has something wrong, or the first, while none was chosen. */
  file: string | undefined;
  onFile: (file: string) => void;
}

/** The files of the configuration, with what is wrong with them where it is wrong. */
export function ConfigFiles({ file, onFile }: ConfigFilesProps) {
  const { t, f } = useI18n();
  const api = useApi();
  const { data, error, refetch, isFetching } = useQuery({ ...configQuery(api), refetchInterval: useInterval(10_000) });
  if (!data && error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />;
  if (!data) return <Skeleton height={480} radius={10} />;
  const pipelines = data.pipelines ?? [];
  const carriers = data.carriers ?? [];
  const all = [...pipelines, ...carriers];
  const shown = all.find((one) => one.file === file) ?? all.find((one) => (one.findings ?? []).length > 0) ?? all[0];
  return (
    <div className={classes.stack}>
      <div className={classes.summary}>
        <Card titleId="state" title={t.config.version} className={classes.state}>
          <p>
            {data.version ? (
              <code className={`${classes.version} mono`}>{data.version}</code>
            ) : (
              <span className="secondary">{t.config.noVersion}</span>
            )}
            {data.version && <CopyButton value={data.version} label={t.trace.copyId} />}
          </p>
          <p>
            <Mark
              tone={data.valid ? 'ok' : 'bad'}
              icon={data.valid ? <CircleCheck size={13} aria-hidden /> : <OctagonX size={13} aria-hidden />}
            >
              {data.valid ? t.config.valid : t.config.invalid}
            </Mark>
            <span className="secondary num">{t.config.readAt(f.clock(Date.parse(data.read_at)))}</span>
          </p>
        </Card>
        <ReloadCard reload={data.last_reload} />
      </div>
      {(data.findings ?? []).length > 0 && (
        <Card titleId="others" title={t.config.otherFindings}>
          <ul className={classes.others}>
            {(data.findings ?? []).map((finding) => (
              <li key={`${finding.file} ${finding.line} ${finding.column} ${finding.code} ${finding.message}`}>
                <code className="mono">{finding.line > 0 ? `${finding.file}:${finding.line}` : finding.file}</code>
                <FindingText finding={finding} />
              </li>
            ))}
          </ul>
        </Card>
      )}
      {shown ? (
        <div className={classes.files}>
          <nav className={classes.list} aria-label={t.config.files}>
            <FileGroup title={t.config.pipelines} files={pipelines} shown={shown.file} onFile={onFile} />
            <FileGroup title={t.config.carriers} files={carriers} shown={shown.file} onFile={onFile} />
          </nav>
          <Card
            titleId="file"
            title={<span className="mono">{shown.file}</span>}
            note={shown.version && <code className="mono">{shown.version}</code>}
            actions={<CopyButton withLabel value={shown.yaml} label={t.config.copyFile} />}
            className={classes.fileCard}
          >
            <YamlView text={shown.yaml} findings={shown.findings ?? []} label={t.config.file(shown.file)} />
          </Card>
        </div>
      ) : (
        <Empty icon={<FileCode2 size={28} aria-hidden />} title={t.config.none}>
          <p>{t.config.noneNext}</p>
        </Empty>
      )}
    </div>
  );
}

function FileGroup({
  title,
  files,
  shown,
  onFile,
}: {
  title: string;
  files: readonly ConfigFile[];
  shown: string;
  onFile: (file: string) => void;
}) {
  const { t, f } = useI18n();
  if (files.length === 0) return null;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul>
        {files.map((one) => {
          const errors = errorsOf(one.findings);
          const warnings = (one.findings ?? []).length - errors;
          return (
            <li key={one.file}>
              <button
                type="button"
                aria-current={one.file === shown ? 'true' : undefined}
                onClick={() => onFile(one.file)}
              >
                <span className={classes.fileName}>{one.name ?? one.file.split('/').at(-1)}</span>
                {errors > 0 ? (
                  <Mark tone="bad" icon={<OctagonX size={12} aria-hidden />}>
                    {t.config.errors(errors, f.count(errors))}
                  </Mark>
                ) : warnings > 0 ? (
                  <Mark tone="warn" icon={<TriangleAlert size={12} aria-hidden />}>
                    {t.config.warnings(warnings, f.count(warnings))}
                  </Mark>
                ) : (
                  <span className="secondary">{t.config.clean}</span>
                )}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** What is wrong, and what to write instead. */
export function FindingText({ finding }: { finding: Finding }) {
  const { t } = useI18n();
  const bad = finding.severity === 'error';
  return (
    <span className={classes.finding} data-tone={bad ? 'bad' : 'warn'}>
      {bad ? <OctagonX size={14} aria-hidden /> : <TriangleAlert size={14} aria-hidden />}
      <span>
        <strong>{t.config.severity[finding.severity]}:</strong> <span lang="en">{finding.message}</span>
        {finding.hint && (
          <span lang="en" className={classes.advice}>
            {' '}
            {finding.hint}
          </span>
        )}{' '}
        <code className="mono">{finding.code}</code>
      </span>
    </span>
  );
}
