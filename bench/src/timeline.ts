// SPDX-License-Identifier: Apache-2.0
// A move's timeline as SVG: one lane for each process, agent and kind of event, all on one axis, with the blackout marked.
import type { Span } from './api-log.ts';

const WIDTH = 1600;
const LEFT = 190;
const RIGHT = 30;
const ROW = 15;
/** Shown before and after the blackout, of its length. */
const MARGIN = 0.08;
const COLOURS = ['#4269d0', '#efb118', '#ff725c', '#6cc5b0', '#3ca951', '#a463f2', '#97bbf5', '#9c6b4e']; // prettier-ignore

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** The rows of a lane: spans that overlap, with their labels, do not share one. */
function rowsOf(spans: readonly Span[], perPixel: number): Span[][] {
  const rows: { spans: Span[]; end: number }[] = [];
  for (const span of spans.toSorted((one, other) => one.from - other.from)) {
    const labelEnd = span.from + (span.name.length * 6 + 12) * perPixel;
    const free = rows.find(({ end }) => end < span.from);
    const row = free ?? { spans: [], end: 0 };
    if (!free) rows.push(row);
    row.spans.push(span);
    row.end = Math.max(span.to, labelEnd);
  }
  return rows.map((row) => row.spans);
}

/**
 * Pure.
 * @param from of the blackout, as `to` in milliseconds since the epoch
 * @returns the text of an SVG file
 */
export function draw(all: readonly Span[], from: number, to: number): string {
  const [begin, end] = [from - (to - from) * MARGIN, to + (to - from) * MARGIN * 2];
  const perPixel = (end - begin) / (WIDTH - LEFT - RIGHT);
  const x = (at: number): number => LEFT + Math.min(Math.max((at - begin) / perPixel, 0), WIDTH - LEFT - RIGHT); // prettier-ignore
  const shown = all.filter((one) => one.to >= begin && one.from <= end);
  const lanes = [...new Set(shown.map(({ lane }) => lane))];
  const parts: string[] = [];
  let y = 40;
  lanes.forEach((lane, at) => {
    const rows = rowsOf(
      shown.filter((one) => one.lane === lane),
      perPixel,
    );
    parts.push(`<text x="8" y="${y + 11}" font-weight="bold">${escaped(lane)}</text>`);
    for (const row of rows) {
      for (const span of row) {
        const width = Math.max(x(span.to) - x(span.from), 1.5);
        const title = `${span.name}: ${(span.from - from).toFixed(1)} to ${(span.to - from).toFixed(1)} ms`;
        parts.push(
          `<g><title>${escaped(title)}</title>`,
          `<rect x="${x(span.from).toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 3}" fill="${COLOURS[at % COLOURS.length]}" fill-opacity="0.55"/>`,
          `<text x="${(x(span.from) + 2).toFixed(1)}" y="${y + 10}">${escaped(span.name)}</text></g>`,
        );
      }
      y += ROW;
    }
    y += 6;
    parts.push(`<line x1="0" x2="${WIDTH}" y1="${y - 4}" y2="${y - 4}" stroke="#ddd"/>`);
  });
  const step = tick(end - begin);
  const axis: string[] = [];
  for (let at = Math.ceil((begin - from) / step) * step; at <= end - from; at += step) {
    const place = x(from + at).toFixed(1);
    axis.push(
      `<line x1="${place}" x2="${place}" y1="26" y2="${y}" stroke="#eee"/>`,
      `<text x="${place}" y="20" text-anchor="middle">${at} ms</text>`,
    );
  }
  const blackout = `<rect x="${x(from).toFixed(1)}" y="26" width="${(x(to) - x(from)).toFixed(1)}" height="${y - 26}" fill="#000" fill-opacity="0.05"/>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- Made by make bench. -->
<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 10}" font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="#fff"/>
${[...axis, blackout, ...parts].join('\n')}
</svg>
`;
}

/** 1, 2 or 5 times a power of ten: about fifteen ticks. */
function tick(range: number): number {
  const rough = range / 15;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((one) => one * power >= rough) ?? 10);
}
