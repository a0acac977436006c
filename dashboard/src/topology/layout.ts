// Where stages and the queues between them are drawn: in layers from left to right, so that every queue leads to the right, and in
// rows in which neighbours lie near each other. (The method is that of Sugiyama, Tagawa and Toda, 1981.)

export interface LayoutNode {
  id: string;
  pipeline: string;
  /** Stages of one hop are fused: between them there is no queue. */
  hop: string;
}

export interface LayoutEdge {
  topic: string;
  from: readonly string[] | null;
  to: readonly string[] | null;
}

export interface Place {
  column: number;
  row: number;
}

/** A line between stages, or from outside, or to outside. */
export interface Link {
  key: string;
  /** The queue; undefined between fused stages. */
  topic: string | undefined;
  from: string | undefined;
  to: string | undefined;
  /** Where it passes the columns between, when there are any. */
  via: readonly Place[];
}

export interface Layout {
  places: ReadonlyMap<string, Place>;
  links: readonly Link[];
  columns: number;
  rows: number;
  /** The stages in the order in which they are read: pipeline after pipeline, and along the flow. */
  order: readonly string[];
}

/** Lays stages out. Those that belong together are kept together; `rank` says which of such groups comes first, the least first. */
export function layout(
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
  rank: (ids: readonly string[]) => number = () => 0,
): Layout {
  const links = linksOf(nodes, edges);
  const places = new Map<string, Place>();
  const vias = new Map<string, Place[]>();
  const order: string[] = [];
  let [columns, rows] = [0, 0];
  const groups = groupsOf(nodes, links);
  const ranked = groups.map((ids) => ({ ids, rank: rank(ids) })).sort((a, b) => a.rank - b.rank);
  for (const { ids } of ranked) {
    const own = new Set(ids);
    const inner = links.filter((l) => l.from !== undefined && l.to !== undefined && own.has(l.from));
    const group = layoutGroup(ids, inner);
    for (const [id, place] of group.places) places.set(id, { ...place, row: place.row + rows });
    for (const [key, via] of group.vias)
      vias.set(
        key,
        via.map((p) => ({ ...p, row: p.row + rows })),
      );
    order.push(...group.order);
    columns = Math.max(columns, group.columns);
    rows += group.rows;
  }
  return { places, links: links.map((l) => ({ ...l, via: vias.get(l.key) ?? [] })), columns, rows, order };
}

function linksOf(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Omit<Link, 'via'>[] {
  const known = new Set(nodes.map((n) => n.id));
  const links: Omit<Link, 'via'>[] = [];
  const add = (topic: string | undefined, from: string | undefined, to: string | undefined) =>
    links.push({ key: `${topic ?? ''} ${from ?? ''} ${to ?? ''}`, topic, from, to });
  for (const { topic, from, to } of edges) {
    const sources = (from ?? []).filter((id) => known.has(id));
    const targets = (to ?? []).filter((id) => known.has(id));
    for (const target of targets) {
      for (const source of sources) add(topic, source, target);
      if (sources.length === 0) add(topic, undefined, target);
    }
    if (targets.length === 0) for (const source of sources) add(topic, source, undefined);
  }
  nodes.forEach((node, i) => {
    const next = nodes[i + 1];
    if (next && next.pipeline === node.pipeline && next.hop === node.hop) add(undefined, node.id, next.id);
  });
  return links;
}

/** The stages that hang together, each group in the order of the stages. */
function groupsOf(nodes: readonly LayoutNode[], links: readonly Omit<Link, 'via'>[]): string[][] {
  const parent = new Map(nodes.map((n) => [n.id, n.id]));
  const root = (id: string): string => {
    let at = id;
    for (let up = parent.get(at); up !== undefined && up !== at; up = parent.get(at)) at = up;
    return at;
  };
  for (const { from, to } of links) if (from !== undefined && to !== undefined) parent.set(root(to), root(from));
  const groups = new Map<string, string[]>();
  for (const { id } of nodes) {
    const key = root(id);
    groups.set(key, [...(groups.get(key) ?? []), id]);
  }
  return [...groups.values()];
}

function layoutGroup(ids: readonly string[], links: readonly Omit<Link, 'via'>[]) {
  const layers = layersOf(ids, links);
  // A line over several columns passes through places of its own, so that it crosses no stage.
  const columns: string[][] = [];
  const put = (id: string, column: number) => {
    while (columns.length <= column) columns.push([]);
    columns[column]?.push(id);
  };
  for (const id of ids) put(id, layers.get(id) ?? 0);
  const neighbours = new Map<string, string[]>();
  const join = (a: string, b: string) => {
    neighbours.set(a, [...(neighbours.get(a) ?? []), b]);
    neighbours.set(b, [...(neighbours.get(b) ?? []), a]);
  };
  const passing = new Map<string, string[]>();
  for (const { key, from = '', to = '' } of links) {
    const [start, end] = [layers.get(from) ?? 0, layers.get(to) ?? 0];
    let last = from;
    const via: string[] = [];
    for (let column = start + 1; column < end; column++) {
      const id = `${key} ${column}`;
      put(id, column);
      join(last, id);
      via.push(id);
      last = id;
    }
    join(last, to);
    passing.set(key, via);
  }
  const rows = rowsOf(columns, neighbours);
  const places = new Map<string, Place>();
  columns.forEach((column, i) => {
    for (const id of column) places.set(id, { column: i, row: rows.get(id) ?? 0 });
  });
  const vias = new Map(
    [...passing].map(([key, via]) => [key, via.map((id) => places.get(id) ?? { column: 0, row: 0 })]),
  );
  const own = new Map(ids.map((id) => [id, places.get(id) ?? { column: 0, row: 0 }]));
  const order = [...ids].sort((a, b) => (layers.get(a) ?? 0) - (layers.get(b) ?? 0));
  const height = Math.max(...[...places.values()].map((p) => p.row)) + 1;
  return { places: own, vias, order, columns: columns.length, rows: height };
}

/** The column of each stage: one more than the furthest before it. A line that leads back, in a loop, counts for nothing. */
function layersOf(ids: readonly string[], links: readonly Omit<Link, 'via'>[]): Map<string, number> {
  const next = new Map<string, string[]>();
  for (const { from = '', to = '' } of links) next.set(from, [...(next.get(from) ?? []), to]);
  const layers = new Map<string, number>();
  const state = new Map<string, 'open' | 'done'>();
  const sorted: string[] = [];
  const back = new Set<string>();
  const visit = (id: string) => {
    state.set(id, 'open');
    for (const to of next.get(id) ?? []) {
      if (state.get(to) === 'open') back.add(`${id} ${to}`);
      else if (!state.has(to)) visit(to);
    }
    state.set(id, 'done');
    sorted.unshift(id);
  };
  for (const id of ids) if (!state.has(id)) visit(id);
  for (const id of sorted) {
    const layer = layers.get(id) ?? 0;
    layers.set(id, layer);
    for (const to of next.get(id) ?? []) {
      if (!back.has(`${id} ${to}`)) layers.set(to, Math.max(layers.get(to) ?? 0, layer + 1));
    }
  }
  return layers;
}

/** How often the rows are gone through, to and fro. */
const sweeps = 4;

/** The row of everything: near the mean of its neighbours, two in a column never in the same. */
function rowsOf(columns: string[][], neighbours: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const rows = new Map<string, number>();
  for (const column of columns) column.forEach((id, i) => void rows.set(id, i));
  const mean = (id: string, within: ReadonlySet<string>) => {
    const near = (neighbours.get(id) ?? []).filter((n) => within.has(n));
    if (near.length === 0) return rows.get(id) ?? 0;
    return near.reduce((sum, n) => sum + (rows.get(n) ?? 0), 0) / near.length;
  };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const forth = sweep % 2 === 0;
    const sequence = forth ? columns : [...columns].reverse();
    sequence.forEach((column, i) => {
      const before = sequence[i - 1];
      if (!before) return;
      const within = new Set(before);
      const wanted = column.map((id) => ({ id, at: mean(id, within) })).sort((a, b) => a.at - b.at);
      let free = 0;
      for (const { id, at } of wanted) {
        const row = Math.max(free, Math.round(at));
        rows.set(id, row);
        free = row + 1;
      }
    });
  }
  const least = Math.min(...rows.values());
  for (const [id, row] of rows) rows.set(id, row - least);
  return rows;
}
