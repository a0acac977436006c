import { send } from './client';
import type { paths } from './schema';
import { type Api, answer } from './typed';

export type ExportType = 'ndjson' | 'csv';

const accepts: Record<ExportType, string> = { ndjson: 'application/x-ndjson', csv: 'text/csv' };

/** Hands a file to whoever asked for it. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name.replace(/[^\w.-]+/g, '_');
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

type Streamed = '/api/v1/traces' | '/api/v1/events';

export interface Export<Path extends Streamed> {
  api: Api;
  /** A search that the API streams, and its filter. */
  path: Path;
  query: NonNullable<paths[Path]['get']['parameters']['query']>;
  type: ExportType;
  /** The name of the file, less its ending. */
  name: string;
  /** Told how many bytes there are so far. */
  onProgress: (bytes: number) => void;
  signal: AbortSignal;
}

/** Has the server stream everything that a search matches, and saves it as a file. One that breaks off is an error, never a short file. */
export async function saveExport<Path extends Streamed>(wanted: Export<Path>): Promise<void> {
  const { api, path, query, type, name, onProgress, signal } = wanted;
  const stream = await answer(
    api.GET(path as Streamed, {
      params: { query },
      headers: { accept: accepts[type] },
      parseAs: 'stream',
      signal,
      fetch: (request) => send(request, { patient: true }),
    }),
  );
  const parts: BlobPart[] = [];
  let bytes = 0;
  const reader = stream?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    parts.push(part.value);
    bytes += part.value.byteLength;
    onProgress(bytes);
  }
  save(new Blob(parts, { type: accepts[type] }), `${name}.${type}`);
}
