import { request } from './client';
import { type Params, withParams } from './get';

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

export interface Export {
  path: string;
  params: Params;
  type: ExportType;
  /** The name of the file, less its ending. */
  name: string;
  /** Told how many bytes there are so far. */
  onProgress: (bytes: number) => void;
  signal: AbortSignal;
}

/** Has the server stream everything that a search matches, and saves it as a file. One that breaks off is an error, never a short file. */
export async function saveExport({ path, params, type, name, onProgress, signal }: Export): Promise<void> {
  const response = await request(`api/v1/${withParams(path, params)}`, {
    headers: { accept: accepts[type] },
    signal,
    patient: true,
  });
  const parts: BlobPart[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    parts.push(part.value);
    bytes += part.value.byteLength;
    onProgress(bytes);
  }
  save(new Blob(parts, { type: accepts[type] }), `${name}.${type}`);
}
